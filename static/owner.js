// The owner's pages: fresh numbers, presses that stay on the page, and links to give away.
import { showBackup } from './backup.js';
import './forms.js';
import { fill, say, watch, write } from './live.js';
import { isActing, quietForms, refresh } from './swap.js';
import { inside, minutesSince } from './words.js';

const SOON = 300;         // ms from a change in the place to a fresh page
const LATER = 15000;      // the same for statistics, which are expensive
const LOOK = 60000;       // between looks at what is in no picture: calls that are due, backups
const READ = 8000;        // for how long "Saved." stays
const page = document.querySelector('main');
const message = document.getElementById('message');

document.documentElement.classList.add('scripts');
if (navigator.share) document.documentElement.classList.add('can-share');

// ----- fresh numbers

// Nothing is replaced under somebody who fills in a form, who has just sent it (its answer may keep what was typed, and
// must not be replaced by an older page), or who reads what is wrong with it.
const isTyping = form => Boolean(form && form.querySelector('input:not([type=hidden]), select, textarea'));
const isBusy = () => document.hidden || isActing() || page.querySelector('.wrong')
  || isTyping(document.activeElement && document.activeElement.closest('main form'));
const pause = page.matches('[data-slow]') ? LATER : SOON;
let timer, shown, counted, version;

function renew() {
  timer = null;
  if (isBusy()) later();
  else refresh();
}

function later() {
  timer = timer || setTimeout(renew, isBusy() ? 2000 : pause);
}

watch(picture => {
  const { counters, ...rest } = picture;
  const isShown = document.querySelector('[data-counter]') && inside(counters);
  const news = JSON.stringify([rest.epoch, rest.series, rest.queues, rest.messages, isShown || counters.map(({ slug }) => slug)]);
  // Taps at a door come by the dozen, and change nothing else. What is not in the picture changes its version only.
  const counts = JSON.stringify(counters), isTap = counts !== counted;
  const isNews = news !== shown || (rest.version !== version && !isTap);
  if (isNews && (shown || !page.matches('[data-slow]'))) later();
  [shown, counted, version] = [news, counts, rest.version];
});
setInterval(later, LOOK);

function count() {
  document.querySelectorAll('[data-since-minutes]').forEach(time => write(time, minutesSince(time.dateTime)));
}

setInterval(count, 5000);
const backup = document.getElementById('backup');
if (backup) showBackup(backup);

// ----- what a press led to

let clearing;

function afterPress() {
  clearTimeout(clearing);
  if (message.querySelector('.good') && !message.querySelector('.error')) {
    clearing = setTimeout(() => fill(message), READ);
  }
  const wrong = page.querySelector('[aria-invalid=true], .wrong[tabindex]');
  if (!wrong || wrong.contains(document.activeElement)) return;
  wrong.focus({ preventScroll: true });
  wrong.scrollIntoView({ block: 'center' });
}

document.addEventListener('swapped', () => {
  count();
  afterPress();
});
count();
afterPress();
quietForms();

// ----- links

async function copy(button) {
  const { url } = button.closest('[data-url]').dataset, label = button.querySelector('[data-own]');
  try {
    await navigator.clipboard.writeText(url);
  } catch (error) {  // on a page that came over plain http
    const field = document.createElement('textarea');
    field.value = url;
    field.className = 'unseen';
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
    button.focus({ preventScroll: true });
  }
  label.textContent = 'Copied';
  say('Link copied.');
  setTimeout(() => { label.textContent = 'Copy link'; }, 2000);
}

document.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button && button.matches('[data-copy]')) copy(button);
  if (button && button.matches('[data-share]')) {
    const { url, title } = button.closest('[data-url]').dataset;
    navigator.share({ url, title }).catch(() => {});  // somebody changed their mind
  }
  const more = document.getElementById('menu-more');
  if (more && more.open && !more.contains(event.target)) more.open = false;
});

document.addEventListener('keydown', event => {
  const more = document.getElementById('menu-more');
  if (event.key !== 'Escape' || !more || !more.open) return;
  more.open = false;
  more.querySelector('summary').focus();
});

// ----- boxes: one that ticks all

document.addEventListener('change', ({ target }) => {
  const { all } = target.dataset;
  if (all) target.form.querySelectorAll(`[name=${all}]`).forEach(box => { box.checked = target.checked; });
});
