// Announces each call once, one after another, however many came at once and however late they are heard of. Keeps the
// tiles in their places while others are called.
import { stayAwake } from './awake.js';
import { fill, say, watch } from './live.js';
import { refresh } from './swap.js';
import { choice, sound } from './sound.js';
import { inside } from './words.js';

const FLASH = 4000;   // ms a number flashes when nobody speaks
const SPEECH = 8000;  // ms after which a voice that doesn't answer is given up
const CHIME = 1100;
const CAPACITIES = [1, 2, 4, 6, 9, 12];  // of the grids that app.css knows, as in board.py

// ----- sound

// One switch for both, as a board had before, is remembered as both.
for (const key of ['board-chime', 'board-voice']) {
  try {
    const both = localStorage.getItem('board-sound');
    if (both && !localStorage.getItem(key)) localStorage.setItem(key, both);
  } catch (error) { /* forbidden: nothing was remembered */ }
}

const ring = sound(document.getElementById('chime'), 'board-chime');
const speech = window.speechSynthesis;
const speaks = speech ? choice(document.getElementById('voice'), 'board-voice') : () => false;
const pause = ms => new Promise(done => setTimeout(done, ms));
const calls = [];
let key, last, now, announcing;

if (speech) speech.cancel();  // what a page before this one left over; some engines drop what is said right after it

// This browser's own memory, so that a board that is reloaded neither repeats nor leaves out a call.
function recall(picture) {
  const newKey = `board ${picture.place.slug} ${picture.epoch}`;
  if (key === newKey) return;
  key = newKey;
  calls.length = 0;
  let kept = null;
  try { kept = localStorage.getItem(key); } catch (error) { /* forbidden: this page only */ }
  last = kept === null ? Math.max(0, ...picture.calls.map(call => call.id)) : Number(kept);
}

function keep(id) {
  try { localStorage.setItem(key, id); } catch (error) { /* as above */ }
}

function collect(picture) {
  recall(picture);
  const today = picture.series.slice(0, 10);
  for (const call of picture.calls) {
    if (call.id <= last) continue;
    last = call.id;
    if (call.series.slice(0, 10) === today) calls.push(call);  // a board switched on in the morning is silent
  }
  if (!calls.length) keep(last);
  if (!announcing) announce();
}

function mark() {
  for (const entry of document.querySelectorAll('[data-number]')) {
    const { number, series } = entry.dataset;
    const isCalling = Boolean(now) && number === now.number && series === now.series;
    if (isCalling) entry.dataset.calling = '';
    else delete entry.dataset.calling;
  }
}

// Speaks, or does not: a voice may be missing, mute or stuck, and the next call must not wait for it.
async function speak(text) {
  if (!speaks()) return pause(FLASH - CHIME);
  const words = new SpeechSynthesisUtterance(text);
  const voices = speech.getVoices().filter(one => one.lang.startsWith('en'));
  words.lang = 'en';
  words.voice = voices.find(one => one.localService) || voices[0] || null;
  let isOver = false;
  const spoken = new Promise(done => { words.onend = words.onerror = done; }).then(() => { isOver = true; });
  speech.speak(words);
  await Promise.all([pause(FLASH - CHIME), Promise.race([spoken, pause(SPEECH)])]);
  if (!isOver) speech.cancel();  // the next is said a chime later: engines drop what follows at once
}

async function announce() {
  announcing = true;
  while ((now = calls.shift())) {
    keep(now.id);
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

// ----- tiles

let slots = [];  // by place: what a tile is known by, or null where one has gone

// A desk keeps its tile. Who is called to a door, or to a desk without a name, is known by the number.
function signs(tiles) {
  const desks = tiles.map(tile => tile.dataset.where);
  return tiles.map(({ dataset: { where, number, series } }) =>
    where && desks.filter(other => other === where).length === 1 ? `desk ${where}` : `${number} ${series}`);
}

function keepPlaces() {
  const list = document.querySelector('#now ol');
  if (!list) {
    slots = [];
    return;
  }
  const tiles = [...list.children], known = signs(tiles);
  slots = slots.map(sign => known.includes(sign) ? sign : null);
  // many have gone: those that are left get larger tiles
  if (2 * tiles.length <= slots.length) slots = slots.filter(Boolean);
  for (const sign of known) {
    if (slots.includes(sign)) continue;
    const free = slots.indexOf(null);
    if (free < 0) slots.push(sign);
    else slots[free] = sign;
  }
  while (slots[slots.length - 1] === null) slots.pop();
  list.parentElement.dataset.many = CAPACITIES.find(capacity => capacity >= slots.length);
  fill(list, ...slots.map(sign => sign ? tiles[known.indexOf(sign)] : gap()));
}

function gap() {
  const item = document.createElement('li');
  item.setAttribute('aria-hidden', 'true');
  return item;
}

// ----- sizes: app.css makes them right for most names; in a script with large letters, the text is made smaller

function isTooLarge(box) {
  const parts = [...box.children].filter(part => part.offsetHeight);
  if (!parts.length) return false;
  const { top, bottom } = box.getBoundingClientRect(), rects = parts.map(part => part.getBoundingClientRect());
  return Math.min(...rects.map(rect => rect.top)) < top - 1 || Math.max(...rects.map(rect => rect.bottom)) > bottom + 1
    || parts.some(part => part.scrollWidth > box.clientWidth + 1);
}

function fit() {
  for (const box of document.querySelectorAll('#now li, #now .counts > div, aside')) {
    let size = 1;
    box.style.removeProperty('--fit');
    while (size > .3 && isTooLarge(box)) {
      size *= .94;
      box.style.setProperty('--fit', size);
    }
  }
}

function arrange() {
  keepPlaces();
  mark();
  fit();
}

document.addEventListener('swapped', arrange);
addEventListener('resize', fit);
arrange();
watch(picture => {
  collect(picture);
  inside(picture.counters);
  refresh();
}, { evenHidden: true });
stayAwake('board');
