// The screen at the entrance: how many are inside, whether one may enter, and whose turn it is to come in.
import { stayAwake } from './awake.js';
import { say, watch } from './live.js';
import { refresh } from './swap.js';
import { inside } from './words.js';

const screen = document.querySelector('main');
let line, word = screen.querySelector('[data-word]').textContent;

// What the page shows of the line: its HTML is fetched again when that changes, not at each tap.
const shape = queue => queue
  ? JSON.stringify([queue.called.filter(each => each.door).map(each => each.number), queue.waiting.length]) : '';

function show() {
  const count = screen.querySelector('[data-count]'), words = screen.querySelector('[data-word]').textContent;
  count.dataset.length = count.textContent.length;
  if (words !== word) say(words);
  word = words;
}

watch(({ counters, queues }) => {
  const mine = counters.filter(each => each.slug === screen.dataset.slug);
  if (!mine.length) return location.reload();  // it was taken away: the server says so
  const now = shape(queues.find(each => each.slug === mine[0].admits));
  if (!inside(mine) || now !== line) refresh();
  line = now;
  show();
}, { evenHidden: true });
document.addEventListener('swapped', show);
stayAwake('board');
