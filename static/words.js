// What pages say of a picture, in the very words of the templates (_macros.html and the filters).
import { fill, serverTime } from './live.js';

export const waiting = n => n ? `${n} waiting` : 'No one waiting';

export const mayEnter = level => level === 'full' ? 'Please wait'
  : level === 'nearly' ? 'You may enter. Nearly full.' : 'You may enter';

export const where = ({ desk, door }) => desk || door || '';

export const ahead = n => n ? `${n} ahead of you` : "You're next";

export function wait(span) {
  if (!span) return '';
  const low = Math.round(span.from / 60), high = Math.round(span.to / 60);
  if (high <= 1) return low ? 'about a minute' : 'less than a minute';
  if (low === high) return `about ${high} minutes`;
  if (!low) return `up to ${high} minutes`;
  // then the beginning says little
  if (high > 3 * low) return `up to ${high > 10 ? 5 * Math.ceil(high / 5) : high} minutes`;
  return `about ${low} to ${high} minutes`;
}

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${seconds} s`;
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// How long ago a time was that the server wrote in a page.
export function minutesSince(when) {
  const minutes = Math.max(0, Math.floor((serverTime() - Date.parse(when)) / 60000));
  return minutes < 60 ? `${minutes || '<1'} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Writes how many are inside where the page shows it; false when it shows other counters than there are.
export function inside(counters) {
  const shown = [...document.querySelectorAll('[data-counter]')];
  const names = counters.map(({ slug, name, capacity }) => [slug, name, capacity].join('|'));
  if (shown.map(each => each.dataset.counter).join() !== names.join()) return false;
  shown.forEach((each, index) => {
    const { count, level } = counters[index];
    each.dataset.level = level;
    each.querySelector('[data-count]').textContent = count;
    each.querySelector('[data-word]').textContent = mayEnter(level);
  });
  return true;
}

// Fills a list "now serving": <li><b>A7</b> Window 2</li>
export function serving(list, all) {
  const lines = all.map(called => {
    const line = document.createElement('li'), bold = document.createElement('b');
    const place = document.createElement('bdi');
    bold.textContent = called.number;
    place.textContent = where(called);
    line.append(bold, ' ', place);
    return line;
  });
  if (!lines.length) {
    const nobody = document.createElement('li');
    nobody.textContent = 'No one at the moment';
    lines.push(nobody);
  }
  fill(list, ...lines);
}

// What is left of a capacity, as a door reads it: {count, held, capacity, level}.
export function room({ count, held, capacity, level }) {
  const left = capacity - count - held, over = count - capacity;
  const reserved = held ? `, ${held} reserved` : '';
  if (count < 0) return `Below zero: please recount${reserved}`;
  if (level === 'full') return (over > 0 ? `Over capacity by ${over}` : 'Full') + reserved;
  return `${level === 'nearly' ? 'Nearly full: room' : 'Room'} for ${left} more${reserved}`;
}
