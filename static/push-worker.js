// Shows what the server pushes, and opens the ticket at a tap. It does nothing else: no page goes through it.
self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('push', event => {
  const { title, body, tag, navigate } = event.data.json().notification;
  const options = { body, tag, renotify: true, icon: '/static/icon-192.png', data: { path: new URL(navigate).pathname } };
  event.waitUntil(self.registration.showNotification(title, options));
});

async function show(path) {
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const page = pages.find(each => new URL(each.url).pathname === path);
  return page ? page.focus() : self.clients.openWindow(path);
}

self.addEventListener('notificationclick', event => {
  event.notification.close();
  event.waitUntil(show(event.notification.data.path));
});
