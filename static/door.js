// A door: counts at the touch, whatever the network does, and shows what all doors together have counted.
import { stayAwake } from './awake.js';
import { ask, buzz, say, watch, whenReady, write } from './live.js';
import { once, pressed, quietForms, refresh } from './swap.js';
import { post, tapsOf } from './taps.js';
import { room, waiting } from './words.js';

const NEARLY = .8;            // of the capacity, as in Counter.level in models.py
const STILL = 1000;           // ms without a tap before the count is read out
const UNDO = 3600000;         // ms for which a tap can be taken back
const BUZZ = { in: [20], out: [15, 50, 15], full: [90, 50, 90] };  // to be told apart without looking

const page = document.querySelector('main'), { slug, door, counter } = page.dataset;
const { here } = document.body.dataset;
const find = id => document.getElementById(id);
const [count, left, unsent, message, pads, undo, dialog] =
  ['count', 'left', 'unsent', 'message', 'pads', 'undo', 'recount'].map(find);
const key = `taps ${slug} ${door}`;

// ----- what is known, and what is shown

// What the server said last. It is only replaced by something newer: answers and pictures come in any order.
let known = {};
for (const name of ['count', 'held', 'capacity', 'version']) known[name] = Number(page.dataset[name]);
known.epoch = page.dataset.epoch;
let postponed;              // a picture that is not shown yet, see below
const cameIn = new Set();   // numbers tapped in here, until the server's list leaves them out
const sum = taps => taps.reduce((total, tap) => total + tap.delta, 0);

function learn(news) {
  if (news.epoch === known.epoch && news.version < known.version) return;
  known = { ...known, ...news };
  show();
}

const ofPicture = ({ counters, queues, epoch, version }) => {
  const mine = counters.find(each => each.slug === counter);
  const queue = mine && queues.find(each => each.slug === mine.admits);
  const called = queue ? queue.called.filter(each => each.door) : [];
  return mine && { ...mine, called, waiting: queue ? queue.waiting.length : undefined, epoch, version };
};

// The server's HTML of those who may come in is fetched again when it names others than it should.
function compare({ admits, called }) {
  const line = find('line');
  const named = [...line.querySelectorAll('li[data-number]')].map(each => each.dataset.number);
  const numbers = called.map(each => each.number);
  if ((admits || '') !== line.dataset.admits || numbers.sort().join() !== named.sort().join()) refresh();
}

// The count on the page is the server's and the taps that it hasn't confirmed. While these are on their way, or their
// answer got lost, nobody can tell whether a picture holds them already: it would count them twice for a moment. So
// it waits for the answer, which brings the count of all doors itself, and each picture is a reason to ask again.
watch(picture => {
  const news = ofPicture(picture);
  if (!news) return refresh();  // the counter was taken away: the server says so
  compare(news);
  if (news.count) takeIn(news);
  else look();
});

function takeIn(news) {
  postponed = news;
  if (taps.doubtful()) taps.hurry();
  else changed();
}

// A count below 0 has drifted. It isn't public: the picture says 0, and the door itself is asked.
let looking = false, lookAgain = false;

async function look() {
  lookAgain = true;
  if (looking) return;
  looking = true;
  try {
    while (lookAgain) {
      lookAgain = false;
      const answer = await ask(here, { headers: { Accept: 'application/json' } });
      if (answer.ok) takeIn(await answer.json());
    }
  } catch (error) { /* the next picture asks again */ } finally {
    looking = false;
  }
}

function changed() {
  if (postponed && !taps.doubtful()) {
    const news = postponed;
    postponed = null;
    learn(news);
  }
  show();
}

function answered(content) {
  learn(content);
  compare(content);
}

function levelOf(taken, capacity) {
  return taken >= capacity ? 'full' : taken >= NEARLY * capacity ? 'nearly' : 'free';
}

// Everybody inside and every space that is held, as far as this device knows.
function now() {
  const mine = taps.inOrder(), undone = new Set(mine.map(tap => tap.undoes));
  const arrived = mine.filter(tap => tap.number && !undone.has(tap.id));
  const counted = known.count + sum(mine), held = Math.max(0, known.held - sum(arrived));
  const level = levelOf(Math.max(0, counted) + held, known.capacity);
  return { count: counted, held, capacity: known.capacity, level, unsent: mine.length };
}

let shown = '', told = '';

function show() {
  const inside = now(), late = inside.unsent > 0 && taps.late();
  if (inside.level !== page.dataset.level) announce();
  page.dataset.level = inside.level;
  count.textContent = inside.count;
  count.dataset.length = String(inside.count).length;
  find('capacity').textContent = inside.capacity;
  left.textContent = room(inside);
  if (unsent.textContent && !late) announce();  // or it would still be said that they wait
  unsent.textContent = late ? `${inside.unsent} ${inside.unsent === 1 ? 'tap' : 'taps'} waiting to send` : '';
  shown = [`${inside.count} of ${inside.capacity}`, left.textContent, unsent.textContent].filter(Boolean).join(', ');
  for (const each of page.querySelectorAll('li[data-number]')) each.hidden = cameIn.has(each.dataset.number);
  const line = page.querySelector('[data-waiting]');
  if (line && known.waiting !== undefined) line.textContent = waiting(known.waiting);
  undo.setAttribute('aria-disabled', String(!last()));
  const trouble = taps.trouble(), said = message.textContent;
  if (said !== trouble && [told, ''].includes(said)) message.textContent = trouble;
  told = trouble;
}

let still;

// Reads out once what a burst of taps came to.
function announce() {
  clearTimeout(still);
  still = setTimeout(() => say(shown), STILL);
}

// ----- taps

const taps = tapsOf({ key, url: pads.action, door: Number(door), changed, answered });
for (const { number } of taps.inOrder()) if (number) cameIn.add(number);

// What can be taken back, newest last: this tab's, over a reload, too.
let made = [];
try { made = JSON.parse(sessionStorage.getItem(key)) || []; } catch (error) { /* forbidden: this page only */ }

function remember(next) {
  made = next.slice(-50);
  try { sessionStorage.setItem(key, JSON.stringify(made)); } catch (error) { /* as above */ }
}

const last = () => made.filter(tap => Date.now() - tap.at < UNDO).pop();

function tap(content) {
  const full = now().level === 'full' && content.delta > 0;
  buzz(full ? BUZZ.full : content.delta > 0 ? BUZZ.in : BUZZ.out);
  if (content.number) cameIn.add(content.number);
  const tap = taps.add(content);
  announce();
  return tap;
}

function press(button) {
  const { number } = button.form.elements, content = { delta: Number(button.value) };
  if (number) content.number = number.value;
  const tapped = tap(content);
  remember([...made, tapped]);
  show();
}

undo.addEventListener('click', () => {
  const tapped = last();
  if (!tapped) return;
  remember(made.filter(each => each !== tapped));
  cameIn.delete(tapped.number);
  tap({ delta: -tapped.delta, undoes: tapped.id });
});

// A pad counts when it is touched. The click that follows says nothing new, whatever fingers did meanwhile; one that
// nothing was touched for comes from a key or a screen reader, and is sent like any form.
let touched = false, untouched;
const hasPointers = 'PointerEvent' in window;  // iOS 12 has none

pads.addEventListener(hasPointers ? 'pointerdown' : 'touchstart', event => {
  const pad = event.target.closest('button');
  if (!pad || event.button) return;
  clearTimeout(untouched);
  touched = true;
  press(pad);
});
for (const end of hasPointers ? ['pointerup', 'pointercancel'] : ['touchend', 'touchcancel']) {  // no click follows a finger that slid off
  document.addEventListener(end, () => { untouched = setTimeout(() => { touched = false; }, 400); });
}
pads.addEventListener('click', event => {
  if (touched || (hasPointers && event.detail)) event.preventDefault();
  touched = false;
});
pads.addEventListener('keydown', event => {
  touched = false;
  if (event.repeat && event.key === 'Enter') event.preventDefault();
  const pad = !event.repeat && !event.ctrlKey && !event.metaKey && { '+': find('in'), '-': find('out') }[event.key];
  if (pad) press(pad);
});
pads.addEventListener('contextmenu', event => event.preventDefault());  // a thumb that rests on it

document.addEventListener('submit', event => {
  if (event.target.action !== pads.action) return;
  event.preventDefault();
  const button = pressed(event);
  if (button.form.matches('[data-once]')) once(button, () => press(button));
  else press(button);
});

// ----- recount

const recount = dialog.querySelector('form'), set = recount.querySelector('[type=submit]');
const problem = dialog.querySelector('[role=alert]');
const explain = text => write(problem, text);
let opened = 0;  // times

// Browsers before 2022 don't know dialogs: there it lies on the page, and app.css hides it while it is closed.
const openDialog = () => dialog.showModal ? dialog.showModal() : dialog.setAttribute('open', '');
const closeDialog = () => dialog.close ? dialog.close() : dialog.removeAttribute('open');
const isOpen = () => dialog.hasAttribute('open');

find('recounts').addEventListener('click', () => {
  opened += 1;
  explain('');
  set.disabled = false;
  recount.reset();
  openDialog();
});
dialog.querySelector('[type=button]').addEventListener('click', closeDialog);

// A server that is moving to another machine gets it when it has arrived, if the dialog is still there to be seen.
async function send(content, tell, isMine) {
  for (;;) {
    const answer = await post(recount.action, content);
    if (answer.status !== 503 || !answer.after) return answer;
    tell(answer.content.error);
    await whenReady(tell);
    if (!isOpen() || !isMine()) return null;
  }
}

recount.addEventListener('submit', async event => {
  event.preventDefault();
  if (set.disabled) return;
  const turn = opened, isMine = () => turn === opened;  // else it was closed and opened again meanwhile
  const tell = why => { if (isMine()) explain(why); };
  const content = { count: recount.elements.count.valueAsNumber };
  set.disabled = true;
  explain('');
  try {
    await taps.sendAll();  // those that can't be sent before it are older than it: the server leaves them out
    if (!isOpen() || !isMine()) return;
    const answer = await send(content, tell, isMine);
    if (answer && answer.status === 200) {
      remember([]);
      answered(answer.content);
      announce();
      if (isMine()) closeDialog();
    } else if (answer) {
      tell(answer.content.error);
    }
  } catch (error) {
    tell('You\'re offline. Press again once you\'re back.');
  } finally {
    if (isMine()) set.disabled = false;
  }
});

// ----- the page

// It goes on counting, and keeps the taps for the new link, see taps.js.
document.addEventListener('gone', event => event.preventDefault());
document.addEventListener('swapped', () => {
  const named = new Set([...page.querySelectorAll('li[data-number]')].map(each => each.dataset.number));
  for (const number of cameIn) if (!named.has(number)) cameIn.delete(number);
  show();
});
for (const control of [undo, find('recounts')]) control.hidden = false;
quietForms();
stayAwake('device');
show();
