// Finds this ticket in each picture, and tells its customer what it means: by eye, by ear, by hand.
import { stayAwake } from './awake.js';
import { buzz, say, watch } from './live.js';
import { tellHow } from './notify.js';
import { quietForms, refresh } from './swap.js';
import { sound } from './sound.js';
import { ahead, serving, wait, where } from './words.js';

const page = document.querySelector('main');
const button = document.getElementById('sound');
const ring = button ? sound(button, 'sound') : () => {};
const ended = () => !['waiting', 'called', 'serving'].includes(page.dataset.state);
let epoch, heard;
let told = false;  // of the call in the last picture; the page shows it when it was fetched anew

const { number, series } = page.dataset;

// A shared tablet goes back to the start, for the next person. The ticket is not to be reached by its back button.
const BACK_TO_START = 20000;  // ms
const onTablet = 'tablet' in page.dataset;

if (onTablet) {
  const start = () => location.replace(page.dataset.tablet);
  setTimeout(start, BACK_TO_START);
  document.addEventListener('click', event => {
    if (!event.target.closest('#done')) return;
    event.preventDefault();
    start();
  });
  addEventListener('pageshow', event => { if (event.persisted) start(); });
}
const same = called => where(called) === page.dataset.where && (called.held_until || '') === page.dataset.held;
const mine = entry => entry.number === number && entry.series === series;

// Where the ticket is in a picture: {queue, at} in a line, {queue, called}, or nothing when it can't be told.
function find(picture) {
  const found = [];
  for (const queue of picture.queues) {
    const at = picture.series === series ? queue.waiting.indexOf(number) : -1;
    if (at >= 0) found.push({ queue, at });
    for (const called of queue.called.filter(mine)) found.push({ queue, called });
  }
  return found.length === 1 ? found[0] : null;
}

function waits({ queue, at }) {
  const text = ahead(at);
  const line = document.getElementById('ahead');
  if (line.textContent !== text) {
    line.textContent = text;
    document.title = `${at ? `${at} ahead` : text} · ${number} · ${page.dataset.place}`;
    say(text);
  }
  document.getElementById('wait').textContent = wait(queue.waits[at]) || queue.no_estimate || '';
  const list = document.getElementById('serving');
  if (list) serving(list, queue.called);
}

// Why it still waits stands in the page alone, not in the picture: it is asked for while somebody reads it.
const reads = () => document.querySelector('#why[open]');
const opened = new Set();
page.addEventListener('toggle', ({ target }) => {
  const isKnown = opened.has(target.id);  // it was open before the page was fetched anew
  if (target.open) opened.add(target.id);
  else opened.delete(target.id);
  if (isKnown) return;
  if (reads()) refresh();
  const buttons = target.open ? [...target.querySelectorAll('form button')] : [];
  if (buttons.length) buttons[buttons.length - 1].scrollIntoView({ block: 'nearest' });
}, true);

function turn({ desk, door }) {
  const to = door ? 'please come in' : desk;
  say(to ? `It's your turn: ${to}` : "It's your turn", true);
  ring();
  buzz([300, 150, 300, 150, 600]);
}

// A call list is private: nothing of it is in the picture.
const isCall = 'calls' in page.dataset, LOOK = 15000;  // ms
if (isCall) setInterval(() => { if (!document.hidden && !ended()) refresh(); }, LOOK);

watch(picture => {
  if (isCall) return;
  const { state, queue } = page.dataset, found = find(picture);
  const last = Math.max(0, ...picture.calls.filter(mine).map(call => call.id));
  const first = epoch !== picture.epoch;  // a page just opened, or a restore, that counts calls anew
  const calledAgain = !first && last > heard;
  epoch = picture.epoch;
  heard = first ? last : Math.max(heard, last);

  if (!found) return ended() || refresh();
  const { called } = found;
  const isTurn = Boolean(called) && called.state === 'called';
  if (isTurn && (calledAgain || (state === 'waiting' && !told))) turn(called);
  told = isTurn;
  const step = ((found.queue.steps || {})[number] || []).join('/');
  if (!called && state === 'waiting' && found.queue.slug === queue && step === page.dataset.step) {
    waits(found);
    return reads() && refresh();
  }
  if (called && called.state === state && same(called) && step === page.dataset.step) return;
  refresh();
}, { inBackground: !onTablet });

let spoken = page.dataset.state;
document.addEventListener('swapped', () => {
  if (page.dataset.state !== spoken && page.dataset.state !== 'called') {
    say(document.getElementById('state').textContent);
  }
  spoken = page.dataset.state;
});

// A screen that goes dark hears nothing. Who is phoned needn't look at it.
stayAwake('mine', () => !ended() && !onTablet && !('mayClose' in page.dataset));
if (!isCall && !onTablet) tellHow(page);
quietForms();
