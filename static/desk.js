// A desk hears at once who came, and counts how long it has been serving.
import './forms.js';
import { say, serverTime, watch, write } from './live.js';
import { quietForms, refresh } from './swap.js';
import { sound } from './sound.js';
import { minutesSince } from './words.js';

const CALLS = 60000;   // ms between looks at how many calls there are to make

const ring = sound(document.getElementById('ring'), 'ring', { usually: true });
let waited, shown, newest;

// Reads aloud what changed on the screen without a press: someone came to an empty line.
function came(picture) {
  const mine = document.getElementById('line').dataset.queues.split(' ');
  const waiting = picture.queues.filter(queue => mine.includes(queue.slug))
    .reduce((sum, queue) => sum + queue.waiting.length, 0);
  if (waited === 0 && waiting > 0) {
    ring();
    say('Someone is waiting.');
  }
  waited = waiting;
}

function count() {
  // How long each has waited.
  document.querySelectorAll('[data-minutes]').forEach(time => write(time, minutesSince(time.dateTime)));
  const timer = document.querySelector('[data-since]');
  if (!timer) return;
  const seconds = Math.max(0, Math.floor((serverTime() - Date.parse(timer.dataset.since)) / 1000));
  const two = n => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  timer.textContent = hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

// Taps at a door change nothing here, and come by the dozen. A note or a plan isn't in the picture: its version tells.
let counted, version;
watch(picture => {
  came(picture);
  const counters = JSON.stringify(picture.counters);
  if (counters === counted || version === undefined) version = picture.version;
  counted = counters;
  newest = JSON.stringify([picture.epoch, picture.series, picture.queues, picture.messages, version]);
  if (newest !== shown) refresh();
});
const region = document.getElementById('now');
let served = region.dataset.serving;
document.addEventListener('swapped', () => {
  shown = newest;
  count();
  if (region.dataset.serving !== served) say(region.querySelector('h1').textContent);  // the number, "Free" or "Paused"
  served = region.dataset.serving;
});
setInterval(count, 1000);
// call lists are private: nothing of them is in the picture
setInterval(() => { if (!document.hidden && document.querySelector('.to-call')) refresh(); }, CALLS);
count();
quietForms();
