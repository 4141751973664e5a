// Announces each call once, one after another, however many came at once and however late they are heard of.
import { say, watch } from './live.js';
import { refresh } from './swap.js';
import { sound } from './sound.js';
import { inside } from './words.js';

const FLASH = 4000;   // ms a number flashes when nobody speaks
const SPEECH = 8000;  // ms after which a voice that doesn't answer is given up
const CHIME = 1100;

const voice = document.getElementById('voice');
const ring = sound(voice, 'board-sound');
const speaks = () => voice.getAttribute('aria-pressed') === 'true';
const pause = ms => new Promise(done => setTimeout(done, ms));
const calls = [];
let key, last, now, announcing;

// This browser's own memory, so that a board that is reloaded neither repeats nor leaves out a call.
function recall(picture) {
  const newKey = `board ${picture.place.slug} ${picture.epoch}`;
  if (key === newKey) return;
  key = newKey;
  let kept = null;
  try { kept = localStorage.getItem(key); } catch { /* forbidden: this page only */ }
  last = kept === null ? Math.max(0, ...picture.calls.map(call => call.id)) : Number(kept);
}

function collect(picture) {
  recall(picture);
  const today = picture.series.slice(0, 10);
  for (const call of picture.calls) {
    if (call.id <= last) continue;
    last = call.id;
    if (call.series.slice(0, 10) === today) calls.push(call);  // a board switched on in the morning is silent
  }
  try { localStorage.setItem(key, last); } catch { /* as above */ }
  if (!announcing) announce();
}

function mark() {
  for (const entry of document.querySelectorAll('[data-number]')) {
    const { number, series } = entry.dataset;
    entry.toggleAttribute('data-calling', Boolean(now) && number === now.number && series === now.series);
  }
}

// Speaks, or does not: a voice may be missing, mute or stuck, and the next call must not wait for it.
function speak(text) {
  if (!speaks() || !window.speechSynthesis) return pause(FLASH - CHIME);
  const words = new SpeechSynthesisUtterance(text);
  const voices = speechSynthesis.getVoices().filter(one => one.lang.startsWith('en'));
  words.lang = 'en';
  words.voice = voices.find(one => one.localService) || voices[0] || null;
  const spoken = new Promise(done => { words.onend = words.onerror = done; });
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
  return Promise.all([pause(FLASH - CHIME), Promise.race([spoken, pause(SPEECH)])]);
}

async function announce() {
  announcing = true;
  while ((now = calls.shift())) {
    mark();
    ring();
    const number = now.number.replace(/(\D)(\d)/, '$1 $2');
    const to = now.door ? 'please come in' : now.desk;
    const text = to ? `Number ${number}, ${to}` : `Number ${number}`;
    say(text);
    await pause(CHIME);
    await speak(text);
  }
  mark();
  announcing = false;
}

document.addEventListener('swapped', mark);
watch(picture => {
  collect(picture);
  inside(picture.counters);
  refresh();
}, { evenHidden: true });
