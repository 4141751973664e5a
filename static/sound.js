// Two notes, made here: nothing to load, nothing to wait for. A browser lets a page sound only after a touch, so
// the button shows what is really so, and a page that has been allowed before waits for the first touch. A kiosk that
// needs no touch rings from the start.
import { isApple } from './live.js';

const remembered = key => { try { return localStorage.getItem(key); } catch (error) { return null; } };
const remember = (key, value) => {
  try { localStorage.setItem(key, value); } catch (error) { /* forbidden: this page only */ }
};

// iPhones with the silent switch on mute what a page makes itself, unless it says that it plays. Those that can't be
// told (before iOS 17) let a sound file play.
const audioSession = navigator.audioSession;

function file() {
  if (!isApple || audioSession) return null;
  const sound = new Audio('/static/chime.wav');
  sound.preload = 'auto';
  return sound;
}

// Makes `button` a switch that this browser remembers under `key`; answers whether it is on.
export function choice(button, key, { usually = false } = {}) {
  let on = remembered(key) ? remembered(key) === 'on' : usually;
  const show = () => button.setAttribute('aria-pressed', String(on));
  button.hidden = false;
  button.addEventListener('click', () => {
    on = !on;
    remember(key, on ? 'on' : 'off');
    show();
  });
  show();
  return () => on;
}

// Makes `button` a switch for the sound; answers how to ring.
export function sound(button, key, { usually = false } = {}) {
  const Context = window.AudioContext || window.webkitAudioContext;
  if (!Context) return () => {};
  const chosen = remembered(key), player = file();
  let context, allowed = null, wanted = chosen ? chosen === 'on' : usually;

  const runs = () => Boolean(context) && context.state === 'running';
  const shown = () => {
    button.setAttribute('aria-pressed', String(wanted && runs()));
    document.dispatchEvent(new Event('sound'));  // a page may say what it does
  };

  async function unlock() {
    if (audioSession) audioSession.type = 'playback';
    if (!context) {
      context = new Context();
      context.addEventListener('statechange', shown);
    }
    if (player) allowed = allowed || allow();
    if (!runs()) await context.resume();
    shown();
    await allowed;  // until then it is mute
  }

  // A file that was played at a touch may be played later.
  async function allow() {
    player.muted = true;
    try {
      await player.play();
      player.pause();
    } catch (error) {
      allowed = null;  // no touch yet
    }
    player.currentTime = 0;
    player.muted = false;
  }

  function ring() {
    if (!wanted || !runs()) return;
    if (player) {
      player.currentTime = 0;
      player.play().catch(() => {});
      return;
    }
    for (const [pitch, after] of [[784, 0], [587, .28]]) {
      const note = context.createOscillator(), level = context.createGain(), at = context.currentTime + after;
      note.frequency.value = pitch;
      level.gain.setValueAtTime(0, at);
      level.gain.linearRampToValueAtTime(.5, at + .01);
      level.gain.exponentialRampToValueAtTime(.001, at + .9);
      note.connect(level);
      level.connect(context.destination);
      note.start(at);
      note.stop(at + 1);
    }
  }

  button.hidden = false;
  button.addEventListener('click', async () => {
    wanted = button.getAttribute('aria-pressed') !== 'true';
    remember(key, wanted ? 'on' : 'off');
    if (wanted) await unlock();
    else if (audioSession) audioSession.type = 'auto';  // somebody's music may go on
    shown();
    ring();  // so that one hears how loud it is
  });
  for (const touch of ['pointerup', 'touchend', 'keydown']) {
    addEventListener(touch, event => { if (wanted && !button.contains(event.target)) unlock(); });
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden && context && wanted) unlock(); });
  if (chosen === 'on') unlock();  // a kiosk may sound without a touch; any other browser waits for it
  return ring;
}
