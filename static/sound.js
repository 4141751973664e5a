// Two notes, made here: nothing to load, nothing to wait for. A browser lets a page sound only after a touch, so
// the button shows what is really so, and a page that has been allowed before waits for the first touch.

const remembered = key => { try { return localStorage.getItem(key); } catch { return null; } };
const remember = (key, value) => {
  try { localStorage.setItem(key, value); } catch { /* forbidden: this page only */ }
};

// Makes `button` a switch for the sound; answers how to ring. `key` is what this browser remembers it under.
export function sound(button, key, { usually = false } = {}) {
  const Context = window.AudioContext || window.webkitAudioContext;
  if (!Context) return () => {};
  let context, wanted = remembered(key) ? remembered(key) === 'on' : usually;

  const shown = () => button.setAttribute('aria-pressed', String(wanted && context?.state === 'running'));

  async function unlock() {
    if (!context) {
      context = new Context();
      context.addEventListener('statechange', shown);
    }
    if (context.state !== 'running') await context.resume();
    shown();
  }

  function ring() {
    if (!wanted || context?.state !== 'running') return;
    for (const [pitch, after] of [[784, 0], [587, .28]]) {
      const note = context.createOscillator(), level = context.createGain(), at = context.currentTime + after;
      note.frequency.value = pitch;
      level.gain.setValueAtTime(0, at);
      level.gain.linearRampToValueAtTime(.5, at + .01);
      level.gain.exponentialRampToValueAtTime(.001, at + .9);
      note.connect(level).connect(context.destination);
      note.start(at);
      note.stop(at + 1);
    }
  }

  button.hidden = false;
  button.addEventListener('click', async () => {
    wanted = button.getAttribute('aria-pressed') !== 'true';
    remember(key, wanted ? 'on' : 'off');
    if (wanted) await unlock();
    shown();
    ring();  // so that one hears how loud it is
  });
  for (const touch of ['pointerup', 'keydown']) {
    addEventListener(touch, event => { if (wanted && !button.contains(event.target)) unlock(); });
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden && context && wanted) unlock(); });
  return ring;
}
