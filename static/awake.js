// Keeps a screen from going dark while its page is in view, where a browser can (over https alone).

export function stayAwake(wanted = () => true) {
  async function ask() {
    if (document.hidden || !wanted()) return;
    try {
      await navigator.wakeLock?.request('screen');
    } catch { /* not allowed, say on low battery */ }
  }
  document.addEventListener('visibilitychange', ask);  // each time it comes back: a hidden page loses its lock
  ask();
}
