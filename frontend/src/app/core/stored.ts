/** A JSON value that this browser remembers; where it may not, it lives as long as the page. */
export interface Stored<T> {
  get(): T;
  set(value: T): void;
}

const PREFIX = 'slipway.';

export function stored<T>(name: string, otherwise: T): Stored<T> {
  const key = PREFIX + name;
  let held: T | undefined;
  return {
    get(): T {
      if (held !== undefined) return held;
      try {
        const text = localStorage.getItem(key);
        held = text === null ? otherwise : (JSON.parse(text) as T);
      } catch {
        held = otherwise;
      }
      return held;
    },
    set(value: T): void {
      held = value;
      try {
        localStorage.setItem(key, JSON.stringify(value));
      } catch {
        // Full or forbidden: the value lives as long as the page.
      }
    },
  };
}
