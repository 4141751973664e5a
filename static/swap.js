// Changes a page without leaving it. Its HTML is made by the server alone: what changed is fetched again and
// put in place, region by region, and nothing that somebody is typing is lost.
import { ask, fill, setClock, whenReady, write } from './live.js';

const SECOND_PRESS = 400;  // ms: a finger that slips presses twice within this
const LONG_PRESS = 1000;   // ms: who holds a button for longer isn't waited for
const RETRY = 4000;        // ms until a page that couldn't be fetched may be asked for again

const OFFLINE = 'You\'re offline. Press again once you\'re back.';
const BACK = 'You\'re back online. Please press again.';
const PERHAPS = 'You\'re back online. Your press may have arrived: look before you press again.';

const { here } = document.body.dataset;
const pathOf = url => new URL(url, location.href).pathname;
const parse = html => new DOMParser().parseFromString(html, 'text/html');
const tell = text => write(document.getElementById('message'), text);

// What a control is known by in the old and in the new HTML.
const sign = control => control.id || [
  (control.form && control.form.getAttribute('action')) || control.getAttribute('href'), control.name,
  control.matches('[type=checkbox], [type=radio]') ? control.value : '',
  control.getAttribute('aria-label') || (control.matches('button, a, summary') ? control.textContent.trim() : ''),
].join('|');

const CONTROLS = 'input:not([type=hidden]), select, textarea, button, a, summary';
const controls = region => [...region.querySelectorAll(CONTROLS)];

// After an error, the server's page holds what was typed: it counts as typed until a press is accepted (data-kept).
const FIELDS = 'input:not([type=hidden]), select, textarea';

const TYPED = ['text', 'textarea', 'tel', 'email', 'number', 'date', 'time', 'url', 'search'];

function keepTyped(action) {
  for (const form of document.forms) {
    const aims = [form, ...form.querySelectorAll('[formaction]')].map(one => one.formAction || one.action);
    if (aims.includes(action)) form.querySelectorAll(FIELDS).forEach(field => { field.dataset.kept = ''; });
  }
}

const forgetKept = () => document.querySelectorAll('[data-kept]').forEach(field => { delete field.dataset.kept; });

function typed(control) {
  if ('kept' in control.dataset) return true;
  if (control.matches('[type=checkbox], [type=radio]')) return control.checked !== control.defaultChecked;
  if (control.matches('select')) return ![...control.options].some(one => one.selected && one.defaultSelected);
  return control.matches('input, textarea') && control.value !== control.defaultValue;
}

// Two regions are the same but for what is new in every answer, and for what scripts write themselves.
function same(one, other) {
  const [a, b] = [one, other].map(region => {
    const copy = region.cloneNode(true);
    copy.querySelectorAll('[name=csrf_token], [name=request_id]').forEach(input => input.removeAttribute('value'));
    copy.querySelectorAll('[data-own]').forEach(own => fill(own));
    copy.querySelectorAll('details').forEach(details => details.removeAttribute('open'));
    copy.querySelectorAll('[data-kept]').forEach(field => field.removeAttribute('data-kept'));
    return copy;
  });
  return a.isEqualNode(b);
}

function replace(old, fresh) {
  const focused = old.contains(document.activeElement) && document.activeElement;
  const found = control => controls(fresh).find(other => sign(other) === sign(control));
  for (const control of controls(old).filter(typed)) {
    const other = found(control);
    if (!other) continue;
    if ('kept' in control.dataset) other.dataset.kept = '';
    if (other.matches('[type=checkbox], [type=radio]')) other.checked = control.checked;
    else if (other.matches('[type=file]')) other.files = control.files;
    else if (!other.options || [...other.options].some(o => o.value === control.value)) other.value = control.value;
  }
  for (const details of old.querySelectorAll('details[open][id]')) {
    const same = fresh.querySelector(`#${details.id}`);
    if (same) same.setAttribute('open', '');
  }
  const focus = focused && found(focused);
  const span = focused && focused.matches('input, textarea') && [focused.selectionStart, focused.selectionEnd];
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  fill(old, ...fresh.childNodes);
  if (focus) {
    focus.focus({ preventScroll: true });
    if (span && span[0] !== null) focus.setSelectionRange(...span);
  } else if (focused) {
    old.tabIndex = -1;  // the control is gone: stay near it, but on nothing that a second Enter would press
    old.focus({ preventScroll: true });
  }
}

let messages = 0;  // that pages have brought so far

// Whether this is another page, such as that of calls, which says why a press at a desk was refused.
const isOther = next => next.body.dataset.here && pathOf(next.body.dataset.here) !== pathOf(here);

// Puts a whole page's HTML into this one: each region (an element with data-region and an id) that differs.
export function swap(html, { message } = {}) {
  const next = parse(html);
  if (!next.querySelector('[data-region]') || isOther(next)) {  // an error's own page, for example
    const why = next.querySelector('#why, #message p') || next.querySelector('main p');
    tell(why ? why.textContent.trim() : '');
    return;
  }
  setClock(next.body.dataset.now);
  document.title = next.title;
  document.body.dataset.state = next.body.dataset.state || '';
  for (const old of document.querySelectorAll('[data-region]')) {
    const fresh = next.getElementById(old.id);
    if (old.id === 'message') {
      // a page that was only looked at again says nothing new: what the last press answered stays to be read
      const says = fresh && fresh.textContent.trim();
      if (says) messages++;
      else if (!message) continue;
    }
    if (fresh && !same(old, fresh)) replace(old, fresh);
  }
  hold();
  document.dispatchEvent(new Event('swapped'));
}

// A press with a mouse counts if its button is still there when it is let go. So nothing is replaced meanwhile.
let letGo = () => {}, untilLetGo = Promise.resolve();
addEventListener('pointerdown', () => {
  untilLetGo = new Promise(done => {
    letGo = done;
    setTimeout(done, LONG_PRESS);
  });
}, true);
for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => setTimeout(letGo), true);  // after its click

// An answer to an older question never replaces a newer one's. But what a press led to is always said, and then
// the page is looked at once more.
let asked = 0, answered = 0, presses = 0;  // `presses`: those that were answered

async function load(url, { message, accepted, options } = {}) {
  const turn = ++asked, before = messages, earlier = presses;
  const answer = await ask(url, Object.assign({ headers: { Accept: 'text/html' } }, options));
  const html = await answer.text(), moves = answer.status === 503 && parse(html).querySelector('[data-moving] h1');
  if (moves) {
    await patience(moves.textContent);
    return load(url, { message, accepted, options });
  }
  await untilLetGo;
  if (answer.redirected && pathOf(answer.url) !== pathOf(here)) {
    return location.assign(answer.url);
  }
  if (message) {
    presses++;
    forgetKept();
  } else if (presses !== earlier) {
    again = true;  // it may show how the page was before a press that was answered meanwhile
    return;
  }
  if (answer.ok && accepted) accepted();
  const late = turn < answered;
  if (!message && answer.status === 404) return leave();
  if (!message && isBusy(answer)) throw new Error(answer.statusText);
  if (!message && (late || !answer.ok)) return;
  answered = Math.max(turn, answered);
  // A page that was fetched at the same time may have got the message of this press: then this one comes without.
  swap(html, { message: message && messages === before });
  if (!answer.ok) keepTyped(new URL(url, location.href).href);
  if (late) refresh();
}

// What meets a server that is moving to another machine is sent again when it has arrived. Meanwhile no button can be
// pressed: it would mean what is no longer so.
let moving = 0;

async function patience(why) {
  document.body.dataset.moving = ++moving;
  const explain = why => tell(`${why} What you pressed is sent by itself.`);
  explain(why);
  hold();
  try {
    await whenReady(explain);
  } finally {
    if (!--moving) delete document.body.dataset.moving;
  }
}

let refreshing, again, missed;

// Fetches this page anew and swaps it in. Asked for while it does so, it does so once more. While a form is on its way
// to another page it waits: else this page would get the message that the next one is to show.
export async function refresh() {
  again = true;
  if (refreshing) return;
  refreshing = true;
  missed = false;
  try {
    while (again && !isLeaving()) {
      again = false;
      await load(here);
    }
  } catch (error) {
    again = false;
    missed = true;  // until watch() says that the server can be reached, which it may be all the time
    setTimeout(() => document.dispatchEvent(new Event('unreachable')), RETRY);
  } finally {
    refreshing = false;
  }
}

document.addEventListener('reached', () => { if (missed) refresh(); });

const isBusy = ({ status }) => status >= 500 || status === 429;
const isLeaving = () => 'sent' in document.body.dataset;  // see forms.js

// This page is gone, or has another link now: the server says so. A page that has more to do cancels "gone".
function leave() {
  if (!isLeaving() && document.dispatchEvent(new Event('gone', { cancelable: true }))) location.replace(here);
}

export const stay = () => { if (again) refresh(); };

// Actions under way, each with where its button was: no button of the same action can be pressed meanwhile, nor
// one that a swap has put under the finger.
const held = new Map();
export const isActing = () => held.size > 0;
const aim = button => button.hasAttribute('formaction') ? button.formAction : button.form.action;
const buttons = () => [...document.querySelectorAll('form[data-quiet] button, form[data-once] button')];
const isHeld = button => (moving && button.form.matches('[data-quiet]')) || held.has(aim(button))
  || [...held.values()].some(({ x, y }) => button.contains(document.elementFromPoint(x, y)));
const hold = () => buttons().filter(button => !button.disabled && isHeld(button)).forEach(button => {
  button.disabled = button.dataset.held = true;
});
const middle = ({ left, top, width, height }) => ({ x: left + width / 2, y: top + height / 2 });

// `pressed` tells what had the focus: its sign, and the id of its region. A disabled button loses it.
function release(action, pressed) {
  held.delete(action);
  const hasLost = () => pressed && [document.body, null].includes(document.activeElement);
  for (const button of buttons()) {
    if (!button.dataset.held || isHeld(button)) continue;
    button.disabled = false;
    delete button.dataset.held;
    if (hasLost() && pressed.sign === sign(button)) button.focus({ preventScroll: true });
  }
  const region = hasLost() && document.getElementById(pressed.region);
  if (!region) return;
  region.tabIndex = -1;  // the button is gone: the next Tab goes on from there
  region.focus({ preventScroll: true });
}

// Does what a press means in a form with data-once, which waits for no answer. What comes under the finger then can't be
// pressed for a moment, either.
export function once(button, press) {
  const key = {};
  held.set(key, middle(button.getBoundingClientRect()));
  press();
  hold();
  setTimeout(release, SECOND_PRESS, key);
}

// What can be undone for some seconds goes away then (data-gone-after).
function countDown() {
  for (const offer of document.querySelectorAll('[data-gone-after]')) {
    setTimeout(() => offer.remove(), 1000 * offer.dataset.goneAfter);
  }
}

document.addEventListener('swapped', countDown);
countDown();

// The button that a form was sent by. Browsers that don't tell didn't give it the focus either.
let clicked;
document.addEventListener('click', event => { clicked = event.target.closest('button'); }, true);

export function pressed(event) {
  if (event.submitter) return event.submitter;
  return clicked && clicked.form === event.target ? clicked : event.target.querySelector('button:not([type=button])');
}

export const offline = () => tell(OFFLINE);

// What a form would do: its action, with what the page showed when it was made.
const NEW = ['csrf_token', 'request_id'];  // in every answer
const meaning = form => [form.getAttribute('action'), ...[...form.querySelectorAll('[type=hidden]')]
  .filter(({ name }) => !NEW.includes(name)).map(({ name, value }) => `${name}=${value}`)].join('|');

// What all forms of the page would have done when a press was made that nobody answered. It may have arrived if they
// have changed since (perhaps before its answer was lost): the same button means something else, or there is a new one.
let unanswered;
const meanings = () => [...document.forms].map(meaning).join();
const mayHaveArrived = () => unanswered && meanings() !== unanswered;

function warn() {
  unanswered = null;
  tell(PERHAPS);
}

const says = text => {
  const message = document.getElementById('message');
  return message && message.textContent.trim() === text;
};

// When the server can be reached again, nothing says that it can't.
function back() {
  if (!says(OFFLINE)) return;
  if (mayHaveArrived()) warn();
  else tell(BACK);
}

document.addEventListener('reached', back);
addEventListener('online', back);
document.addEventListener('swapped', () => {
  if ((says(OFFLINE) || says(BACK)) && mayHaveArrived()) warn();
});

// The form in the page that does the same as one that was perhaps taken out of it.
export const sameForm = form => [...document.forms].find(each => each.getAttribute('action') === form.getAttribute('action'));

// Empties a form that was sent, but for what was typed since then.
function clear(form, sent) {
  const lines = text => text.replace(/\r\n/g, '\n');
  const since = [...form.elements].filter(({ name, type, value }) => sent.has(name) && TYPED.includes(type)
    && lines(sent.get(name)) !== lines(value)).map(field => [field, field.value]);
  form.reset();
  for (const [field, value] of since) field.value = value;
}

// Sends forms with data-quiet without leaving the page; one with data-clears is emptied when it was accepted.
export function quietForms() {
  document.addEventListener('submit', async event => {
    const form = event.target, button = pressed(event);
    if (!form.matches('[data-quiet]')) return;
    event.preventDefault();
    const action = aim(button);
    if (held.has(action)) return;
    const region = button.closest('[data-region]');
    const focused = document.activeElement === button && { sign: sign(button), region: region ? region.id : '' };
    const body = new URLSearchParams(new FormData(form)), meant = meanings();
    unanswered = null;
    if (button.name) body.append(button.name, button.value);
    held.set(action, middle(button.getBoundingClientRect()));
    hold();
    const accepted = () => {
      const shown = form.isConnected ? form : sameForm(form);  // the page may have changed meanwhile
      if (shown && form.matches('[data-clears]')) clear(shown, body);
    };
    try {
      await load(action, { options: { method: 'POST', body }, message: true, accepted });
    } catch (error) {
      unanswered = meant;
      tell(OFFLINE);
      document.dispatchEvent(new Event('unreachable'));  // watch() finds out when it is back
    } finally {
      setTimeout(release, SECOND_PRESS, action, focused);
    }
  });
}
