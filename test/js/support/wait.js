// Waiting for things, never for time: every wait is for an event, and fails with what it waited for.
export function within(promise, what, ms = 10000) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited in vain for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// next resolves with the data of the next event that a pusher-js emitter gets, and that passes.
export function next(emitter, event, pass = () => true) {
  return within(
    new Promise((done) => {
      const handler = (data, meta) => {
        if (!pass(data)) return;
        emitter.unbind(event, handler);
        done(data ?? meta);
      };
      emitter.bind(event, handler);
    }),
    event,
  );
}

export function connected(client) {
  if (client.connection.state === "connected") return Promise.resolve();
  return next(client.connection, "connected");
}

// collect keeps everything that an event brought and lets a test wait until there are n.
export function collect(emitter, event) {
  const all = [];
  const waiting = [];
  emitter.bind(event, (data) => {
    all.push(data);
    for (const w of waiting.splice(0)) if (all.length >= w.n) w.done(); else waiting.push(w);
  });
  all.reach = (n) => all.length >= n ? Promise.resolve() : within(new Promise((done) => waiting.push({ n, done })), `${n} × ${event}`);
  return all;
}
