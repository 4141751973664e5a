// What a test hears and feels in a page: how often it rang and buzzed, what a voice said, and how its stream is.
// It is noted at the page's <html data-rings data-buzzes data-spoken data-stream>.
const note = (name, value) => { document.documentElement.dataset[name] = value; };
let notes = 0, buzzes = 0;
const spoken = [];

// As a browser's own: silent until the page was touched.
window.AudioContext = class extends EventTarget {
  state = 'suspended';
  currentTime = 0;
  async resume() { if (navigator.userActivation.hasBeenActive) this.state = 'running'; }
  createOscillator() {
    const start = () => { notes += 1; note('rings', Math.ceil(notes / 2)); };  // two notes a ring
    return { frequency: {}, connect: node => node, start, stop() {} };
  }
  createGain() {
    const gain = { setValueAtTime() {}, linearRampToValueAtTime() {}, exponentialRampToValueAtTime() {} };
    return { gain, connect: node => node };
  }
};

navigator.vibrate = () => { note('buzzes', ++buzzes); return true; };

Object.defineProperty(window, 'speechSynthesis', { value: {
  getVoices: () => [],
  cancel() {},
  speak(words) {
    spoken.push(words.text);
    note('spoken', spoken.join(' / '));
    setTimeout(() => words.onend?.(), 100);
  },
} });

window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener('open', () => note('stream', 'open'));
    this.addEventListener('error', () => note('stream', 'lost'));
  }
  close() {
    super.close();
    if (document.documentElement.dataset.stream === 'open') note('stream', 'closed');
  }
};
