// Tells an open page what changes in its place, as long as somebody looks at it.

const POLL = 4000;        // ms between looks at the picture while there is no stream
const UNSURE = 40000;     // nothing heard for so long: ask once whether the server is still there
const SILENT = 75000;     // a stream speaks at least once a minute; one that doesn't is dead without saying so
const PATIENCE = 8000;    // an answer that takes longer won't come
const HIDDEN = 20000;     // ms between looks of a hidden page that rings; browsers wake it once a minute at least
const AGAIN = 2000;       // between looks whether a server that is moving takes what is sent

const CLOCK = 30000;      // ms that a device's clock may be wrong; less may as well be a slow network

const { live, picture, here, now: renderedAt } = document.body.dataset;
let ahead = 0;  // of the server's clock
const bar = document.getElementById('offline');
document.documentElement.dataset.scripts = 'on';  // for reload.js: this browser can read them

// Shows whether the server can be reached; each sign of it is also told to who waits for one, see swap.js.
function offline(yes) {
  if (bar) bar.hidden = !yes;
  if (yes) document.body.dataset.offline = '';
  else delete document.body.dataset.offline;
  if (!yes) document.dispatchEvent(new Event('reached'));
}

// Learns the server's time from a page that just came. A device may get the right time later than its first page.
export function setClock(now) {
  ahead = now ? now - Date.now() : 0;
}

setClock(renderedAt);

// The time in ms by the server's clock: that of a device may be an hour off.
export const serverTime = () => Date.now() + (Math.abs(ahead) > CLOCK ? ahead : 0);

// fetch(), which alone would wait for minutes for a server that has gone.
export async function ask(url, options = {}) {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), PATIENCE);
  try {
    return await fetch(url, Object.assign({ cache: 'no-store', signal: stop.signal }, options));
  } finally {
    clearTimeout(timer);
  }
}

// Waits, two seconds at least, until a server that is moving to another machine takes what is sent. It is asked, not sent
// the same over and over: of what meets a machine that goes away, nobody can tell whether it was stored.
export async function whenReady(tell) {
  for (let ready; !ready;) {
    await new Promise(done => setTimeout(done, AGAIN * (1 + Math.random() / 4)));  // not all phones in the same second
    try {
      const answer = await ask('/healthz?verbose=1', { headers: { Accept: 'application/json' } });
      const { paused } = await answer.json();  // a proxy before a server that starts answers in HTML
      ready = !paused;
      if (paused) tell(paused);
    } catch (error) {
      tell('You\'re offline.');
    }
  }
}

// Calls onPicture with every picture of the place, from the stream or, while that is down, by polling. A hidden page has
// no stream; with `inBackground` it polls now and then, since it may still ring.
export function watch(onPicture, { evenHidden = false, inBackground = false } = {}) {
  let stream, shown, etag, timer, polling, hearing;
  let heard = 0, sure = 0, retryAt = 0, pause = 2000;

  function show(next) {
    if (shown && next.epoch === shown.epoch && next.version < shown.version) return;
    shown = next;
    tellEverybody(next.messages);
    onPicture(next);
  }

  function open() {
    heard = Date.now();
    stream = new EventSource(live);
    stream.addEventListener('error', lose);  // also a refusal, which EventSource doesn't tell from a broken line
    stream.addEventListener('state', event => {
      heard = sure = Date.now();
      hearing = true;
      pause = 2000;
      offline(false);
      show(JSON.parse(event.data));
    });
  }

  function lose() {
    close();
    retryAt = Date.now() + pause * (1 + Math.random() / 2);  // not all phones in the same second
    pause = Math.min(2 * pause, 30000);
    poll();
  }

  function close() {
    if (stream) stream.close();
    stream = null;
    hearing = false;
  }

  async function poll() {
    if (polling) return;
    polling = true;
    let next;
    try {
      const headers = { Accept: 'application/json' };
      if (etag) headers['If-None-Match'] = etag;
      const answer = await ask(picture, { headers });
      if (answer.status === 404) {  // the place is gone: its page says so, unless another is on its way, see forms.js
        if (!('sent' in document.body.dataset)) location.replace(here);
        return;
      }
      if (answer.status >= 500) throw new Error(answer.statusText);
      if (answer.ok) {
        next = await answer.json();
        etag = answer.headers.get('ETag');
      }
      sure = Date.now();
      offline(false);
    } catch (error) {
      offline(true);
    } finally {
      polling = false;
    }
    if (next) show(next);
  }

  function tick() {
    const now = Date.now();
    if (stream && now - heard > SILENT) lose();
    else if (!hearing || now - sure > UNSURE || !bar.hidden) poll();
    if (!stream && now >= retryAt) open();
    timer = setTimeout(tick, POLL + Math.random() * 1000);
  }

  async function glance() {
    await poll();
    if (!document.hidden) return;
    clearTimeout(timer);
    timer = setTimeout(glance, HIDDEN);
  }

  function sleep() {
    clearTimeout(timer);
    close();
  }

  function wake() {
    sleep();
    if (document.hidden && !evenHidden) {  // a browser has six connections a host, for all its tabs
      if (inBackground) timer = setTimeout(glance, HIDDEN);
      return;
    }
    pause = 2000;
    open();
    timer = setTimeout(tick, POLL);
  }

  document.addEventListener('visibilitychange', wake);
  addEventListener('online', wake);
  addEventListener('offline', () => {
    offline(true);
    close();  // what still came through the stream would say that the server can be reached
  });
  document.addEventListener('unreachable', poll);
  addEventListener('pagehide', sleep);
  addEventListener('pageshow', event => { if (event.persisted) wake(); });
  wake();
}

// Shows the messages to everybody who waits. Those that are there stay, so that they aren't read out again.
function tellEverybody(messages) {
  const box = document.getElementById('notices');
  if (!box || !messages) return;
  const known = [...box.children], ids = messages.map(({ id }) => String(id));
  known.filter(line => ids.indexOf(line.dataset.notice) < 0).forEach(line => line.remove());
  messages.forEach(({ id, text }, index) => {
    if (known.some(line => line.dataset.notice === String(id))) return;
    const line = document.createElement('p');
    line.dataset.notice = id;
    line.textContent = text;
    box.insertBefore(line, box.children[index] || null);
  });
  letKeysScroll();
}

// Messages that don't fit into their box can be scrolled to by keys, too.
function letKeysScroll() {
  const box = document.getElementById('notices');
  if (!box) return;
  if (box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
  else box.removeAttribute('tabindex');
}

addEventListener('resize', letKeysScroll);
letKeysScroll();

// Puts these nodes in the place of all that an element holds.
export function fill(element, ...nodes) {
  while (element.firstChild) element.firstChild.remove();
  element.append(...nodes);
}

// Whether this is an iPhone or an iPad; the latter says that it is a Mac.
export const isApple = /iP(hone|ad|od)/.test(navigator.userAgent)
  || (navigator.platform === 'MacIntel' && navigator.maxTouchPoints > 1);

// Whether the page was touched: one that never was may not buzz, and browsers write an error then.
export const wasTouched = () => !navigator.userActivation || navigator.userActivation.hasBeenActive;

export function buzz(pattern) {
  if (navigator.vibrate && wasTouched()) navigator.vibrate(pattern);
}

// Shows a text; what it showed already is not read out again.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Says something to a screen reader, without showing it. What was said before doesn't stay to be read.
export function say(text, loud = false) {
  document.getElementById(loud ? 'say' : 'shout').textContent = '';
  document.getElementById(loud ? 'shout' : 'say').textContent = text;
}
