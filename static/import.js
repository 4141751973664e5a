// Shows how far the reading of a file is, and when its rows are stored.
import './forms.js';
import { ask } from './live.js';
import { refresh } from './swap.js';

const LOOK = 700;  // ms
const page = document.querySelector('main');

async function look() {
  const shown = page.dataset.state;
  if (shown !== 'reading' && shown !== 'storing') return;
  try {
    const answer = await ask(document.body.dataset.here, { headers: { Accept: 'application/json' } });
    const { state, rows, read } = await answer.json();
    const bar = page.querySelector('progress');
    if (state !== shown) {
      await refresh();  // if that fails, the next look finds the same
    } else if (bar) {
      bar.max = Math.max(rows || 0, read, 1);
      bar.value = read;
      document.getElementById('read').textContent =
        `${read.toLocaleString('en')}${rows ? ` of ${rows.toLocaleString('en')}` : ''}`;
    }
  } catch (error) { /* the next look */ }
  setTimeout(look, LOOK);
}

look();
