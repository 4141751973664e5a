// Keeps a screen from going dark while its page is in view, where a browser can: over https alone.
const KEY = 'screen hint';  // what this browser remembers that somebody has read
const MINUTE = 60000;

const HINTS = {
  mine: 'Your screen may turn off while you wait. Look here now and then, or set it to stay on longer.',
  device: 'This screen may turn off. Set the device to stay on, or open this page at an https:// address.',
};

const known = () => { try { return localStorage.getItem(KEY) !== null; } catch (error) { return false; } };

// Says once that the screen may turn off, until somebody has read it; with `briefly`, for a minute at most.
function hint(text, briefly) {
  if (known()) return;
  const box = document.createElement('div'), words = document.createElement('p');
  const button = document.createElement('button');
  const close = () => {
    box.remove();
    delete document.body.dataset.hint;
  };
  box.id = 'hint';
  box.setAttribute('role', 'region');
  box.setAttribute('aria-label', 'About this screen');
  words.textContent = text;
  button.type = 'button';
  button.textContent = 'OK';
  button.addEventListener('click', () => {
    try { localStorage.setItem(KEY, 'read'); } catch (error) { /* forbidden: this page only */ }
    close();
  });
  box.append(words, button);
  document.querySelector('body > header').after(box);
  document.body.dataset.hint = '';
  if (briefly) setTimeout(close, MINUTE);
}

// `who` has the screen: 'mine' is a customer's, a 'device' belongs to the place, and nobody may be at a 'board'.
export function stayAwake(who, wanted = () => true) {
  let lock = null;  // or the promise of one

  function ask() {
    if (document.hidden) return;
    if (wanted()) {
      lock = lock || navigator.wakeLock.request('screen').catch(() => {});  // not allowed, say on low battery
    } else if (lock) {
      lock.then(given => given && given.release());
      lock = null;
    }
  }
  if (!navigator.wakeLock) {
    if (wanted()) hint(HINTS[who] || HINTS.device, who === 'board');
    return;
  }
  document.addEventListener('visibilitychange', () => {
    lock = null;  // a hidden page loses it
    ask();
  });
  document.addEventListener('swapped', ask);
  ask();
}
