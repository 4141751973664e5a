// A caller's desk: how long the call is theirs, and notes that nothing loses.
import './forms.js';
import { ask, say, watch } from './live.js';
import { quietForms, refresh } from './swap.js';

const SOON = 120;        // seconds before the end of a claim that are worth a word
const LOOK = 20000;      // ms between looks at what is to be called: lists are not in the picture

const page = document.querySelector('main');
const find = id => document.getElementById(id);
const { here } = document.body.dataset;

// ----- how long the call is theirs

let ahead = 0;  // ms that the server's clock is ahead of this device's

async function compare() {
  try {
    const began = Date.now(), answer = await ask(here, { method: 'HEAD' });
    const at = Date.parse(answer.headers.get('Date')), middle = (began + Date.now()) / 2;
    const wrong = at ? at + 500 - middle : 0;  // it tells whole seconds
    ahead = Math.abs(wrong) > 2000 ? wrong : 0;
    count();
  } catch (error) { /* the device's own clock, then */ }
}

const two = n => String(n).padStart(2, '0');
const WORDS = {
  long: left => `${left} left`,
  soon: left => `${left} left. Extend?`,
  over: () => 'Time’s up; someone else may take this call. You can still save your report.',
};

function tellTime() {
  for (const clock of document.querySelectorAll('[data-clock]')) {
    const options = { timeZone: clock.dataset.clock, hour: '2-digit', minute: '2-digit' };
    try {
      clock.textContent = new Date(Date.now() + ahead).toLocaleTimeString('en-GB', options);
    } catch (error) { /* a zone that this browser doesn't know: the time of the page stays */ }
  }
}

function count() {
  tellTime();
  const timer = document.querySelector('[data-until]');
  if (!timer) return delete page.dataset.lasts;
  const left = Math.max(0, Math.ceil((Date.parse(timer.dataset.until) - Date.now() - ahead) / 1000));
  const lasts = left > SOON ? 'long' : left ? 'soon' : 'over';
  timer.textContent = WORDS[lasts](`${Math.floor(left / 60)}:${two(left % 60)}`);
  const before = page.dataset.lasts;
  page.dataset.lasts = lasts;
  if (before === lasts || lasts === 'long') return;
  say(lasts === 'over' ? timer.textContent : 'This call is yours for two more minutes at most.');
}

// ----- notes: kept in this tab until they were accepted, also those of a call that is theirs no more

const KEPT = 'report ';
const late = find('late'), lateForm = late.querySelector('form');
const claimOf = form => form.elements.claim.value;
const isReport = form => Boolean(form) && (form === lateForm || form.id === 'report');

function forget(claim) {
  try { sessionStorage.removeItem(KEPT + claim); } catch (error) { /* forbidden: nothing is kept */ }
}

function kept() {
  try {
    const keys = Object.keys(sessionStorage).filter(key => key.startsWith(KEPT));
    return new Map(keys.map(key => [key.slice(KEPT.length), JSON.parse(sessionStorage.getItem(key))]));
  } catch (error) {
    return new Map();
  }
}

function keep({ target: { form } }) {
  if (!isReport(form)) return;
  const typed = {}, claim = claimOf(form);
  for (const [name, value] of new FormData(form)) if (name !== 'csrf_token' && name !== 'claim') typed[name] = value;
  const whom = (form === lateForm ? late : find('now')).querySelector('h1, h2 span').textContent;
  const call = form.elements.notes.id;
  try { sessionStorage.setItem(KEPT + claim, JSON.stringify({ call, whom, typed })); } catch (error) { /* as above */ }
}

function recall() {
  const form = find('report');
  for (const [claim, report] of kept()) {  // they have the same call once more, by another claim
    if (!form || claim === claimOf(form) || report.call !== form.elements.notes.id) continue;
    forget(claim);
    try { sessionStorage.setItem(KEPT + claimOf(form), JSON.stringify(report)); } catch (error) { /* as above */ }
  }
  const known = kept();
  const mine = form && known.get(claimOf(form));
  for (const [name, value] of Object.entries(mine ? mine.typed : {})) {
    const field = form.elements[name];
    if (!field || field.value || !value) continue;
    field.value = value;
    const around = field.closest('details');
    if (around) around.open = true;
  }
  if (!late.hidden) return;
  const [claim, { whom, typed }] = [...known].find(([claim, { typed }]) =>
    typed.notes && !(form && claim === claimOf(form))) || ['', {}];
  late.hidden = !claim;
  if (!claim) return;
  late.querySelector('h2 span').textContent = whom;
  lateForm.elements.claim.value = claim;
  lateForm.elements.notes.value = typed.notes;
}

function dropLate() {
  forget(claimOf(lateForm));
  late.hidden = true;
}

late.querySelector('[type=button]').addEventListener('click', () => {
  dropLate();
  recall();
});
document.addEventListener('input', keep);
document.addEventListener('change', keep);
document.addEventListener('reset', ({ target }) => {  // it was accepted, see swap.js
  if (target === lateForm) dropLate();
  else if (isReport(target)) forget(claimOf(target));
});

// ----- "Call back later" needs a time

document.addEventListener('click', event => {
  const button = event.target.closest('.outcomes [data-effect=later]');
  const later = button && button.form.querySelector('.later');
  if (!later) return;
  const date = later.querySelector('[type=date]');
  if (date.value) return;
  event.preventDefault();
  later.open = true;
  date.focus();
  later.scrollIntoView({ block: 'nearest' });
});

// ----- one press doesn't stop all calls to somebody

document.addEventListener('click', event => {
  const button = event.target.closest('button'), question = find('never');
  if (!button || !question) return;
  const [yes, cancel] = question.querySelectorAll('button');
  if (button.matches('.outcomes [data-effect=never]')) {
    event.preventDefault();
    yes.value = button.value;
    question.hidden = false;
    cancel.focus();
  } else if (button === cancel) {
    question.hidden = true;
  }
});

// ----- the page

let shown = find('now').dataset.call;

document.addEventListener('swapped', () => {
  recall();
  count();
  const now = find('now'), { call } = now.dataset;
  if (call && call !== shown) {
    say([...now.querySelectorAll('h1, .list')].map(each => each.textContent).reverse().join(', '));
    now.tabIndex = -1;  // from here, the next Tab is at the number
    now.focus();
    scrollTo(0, 0);
  }
  shown = call;
});

// A call that is theirs stays on the page, whatever happens: they may be writing about it.
function look() {
  if (!document.hidden && !find('now').dataset.call) refresh();
}

watch(() => {});  // to say so when the connection is lost
setInterval(look, LOOK);
setInterval(count, 1000);
document.addEventListener('visibilitychange', () => {
  look();
  if (!document.hidden) compare();  // a device that slept may have got the right time
});
recall();
count();
compare();
quietForms();
