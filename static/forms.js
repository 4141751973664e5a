// Forms that lead to another page (data-check): without a network, a press leaves the page as it is, and says so.
import { ask } from './live.js';
import { offline } from './swap.js';

const REACHED = '/static/favicon.svg';  // small, and needs no database

let sent = false;
const same = form => [...document.forms].find(each => each.getAttribute('action') === form.getAttribute('action'));

document.addEventListener('submit', async event => {
  const form = event.target;
  if (!form.matches('[data-check]')) return;
  event.preventDefault();
  if (sent) return;
  sent = true;
  try {
    await ask(REACHED, { method: 'HEAD' });
    const shown = [...document.forms].find(each => each === form) || same(form);  // the page may have changed
    if (shown) shown.submit();
    sent = Boolean(shown);
  } catch (error) {
    sent = false;
    offline();
  }
});
addEventListener('pageshow', () => { sent = false; });  // somebody came back
