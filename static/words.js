// What pages say of a picture, in the very words of the templates (_macros.html and the filters).

export const waiting = n => n ? `${n} waiting` : 'Nobody is waiting';

export const ahead = n => n ? `${n} ahead of you` : "You're next";

export function wait(span) {
  if (!span) return '';
  const low = Math.round(span.from / 60), high = Math.round(span.to / 60);
  if (high <= 1) return low ? 'about a minute' : 'less than a minute';
  if (low === high) return `about ${high} minutes`;
  return low ? `about ${low} to ${high} minutes` : `up to ${high} minutes`;
}

// Fills a list "now serving": <li><b>A7</b> Window 2</li>
export function serving(list, called) {
  const lines = called.map(({ number, desk }) => {
    const line = document.createElement('li'), bold = document.createElement('b');
    bold.textContent = number;
    line.append(bold, ` ${desk || ''}`);
    return line;
  });
  if (!lines.length) {
    const nobody = document.createElement('li');
    nobody.textContent = 'Nobody right now';
    lines.push(nobody);
  }
  list.replaceChildren(...lines);
}
