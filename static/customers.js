// Keeps the counts fresh, from the picture alone: many phones stay on this page.
import { watch } from './live.js';
import './forms.js';
import { refresh } from './swap.js';
import { inside, serving, wait, waiting } from './words.js';

const state = queue => queue.open ? (queue.full ? 'full' : 'open') : 'closed';
const shape = queue => [queue.slug, queue.name, state(queue), queue.asks.join(' '), queue.door || ''].join('|');

watch(picture => {
  const lines = [...document.querySelectorAll('[data-shape]')];
  const walkIn = picture.queues;
  const known = lines.map(line => line.dataset.shape).join() === walkIn.map(shape).join();
  if (!inside(picture.counters) || !known) return refresh();
  walkIn.forEach((queue, index) => {
    const line = lines[index];
    line.querySelector('[data-waiting]').textContent = waiting(queue.waiting.length);
    line.querySelector('[data-wait]').textContent = queue.open && !queue.full
      ? wait(queue.estimated_wait) || queue.no_estimate || '' : '';
    serving(line.querySelector('[data-serving]'), queue.called);
  });
});
