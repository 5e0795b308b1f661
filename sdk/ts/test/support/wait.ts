// Waiting for things, never for time: the limit is a last resort against hanging.
const patience = 30_000;

export function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited in vain for ${what}`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Rings whenever something came; a check is repeated at each ring until it gives something. */
export class Bell {
  #listeners = new Set<() => void>();

  ring = (): void => {
    for (const listener of [...this.#listeners]) listener();
  };

  until<T>(check: () => T | undefined | false, what: () => string): Promise<T> {
    return new Promise<T>((done, fail) => {
      const end = () => {
        clearTimeout(timer);
        this.#listeners.delete(look);
      };
      const look = () => {
        try {
          const found = check();
          if (found === undefined || found === false) return;
          end();
          done(found);
        } catch (e) {
          end();
          fail(e);
        }
      };
      const timer = setTimeout(() => {
        end();
        fail(new Error(`waited in vain for ${what()}`));
      }, patience);
      this.#listeners.add(look);
      look();
    });
  }
}
