import { DestroyRef, type Signal, computed, inject, signal } from '@angular/core';
import { Problem, aborted, asProblem } from './api/ask';

/** Something that is asked for again and again while it is looked at. */
export interface Polled<T> {
  /** The last good answer. */
  readonly value: Signal<T | undefined>;
  /** Why the last attempt brought none. */
  readonly problem: Signal<Problem | null>;
  /** Nothing has come yet, good or bad. */
  readonly loading: Signal<boolean>;
  /** When the last good answer came, in milliseconds since 1970. */
  readonly since: Signal<number | null>;
  /** The last good answer is older than three pauses, or the last attempt failed. */
  readonly stale: Signal<boolean>;
  /** Ask now. */
  refresh(): Promise<void>;
}

/**
 * Ask every `pause` milliseconds; slower while the page is hidden, and after failures.
 *
 * To be called where injection is possible; it ends with whoever called it.
 */
export function polled<T>(load: (signal: AbortSignal) => Promise<T>, pause: number): Polled<T> {
  const value = signal<T | undefined>(undefined);
  const problem = signal<Problem | null>(null);
  const since = signal<number | null>(null);
  const now = signal(Date.now());
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;
  let failures = 0;
  let ended = false;

  async function refresh(): Promise<void> {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    try {
      const found = await load(mine.signal);
      if (mine.signal.aborted) return;
      value.set(found);
      since.set(Date.now());
      problem.set(null);
      failures = 0;
    } catch (thrown) {
      if (mine.signal.aborted || aborted(thrown)) return;
      problem.set(asProblem(thrown));
      failures += 1;
    }
    now.set(Date.now());
    if (!ended) timer = setTimeout(() => void refresh(), wait());
  }

  function wait(): number {
    const slow = document.hidden ? 6 : 1;
    return pause * slow * Math.min(2 ** failures, 8);
  }

  function shown(): void {
    if (!document.hidden) void refresh();
  }

  document.addEventListener('visibilitychange', shown);
  inject(DestroyRef).onDestroy(() => {
    ended = true;
    clearTimeout(timer);
    running?.abort();
    document.removeEventListener('visibilitychange', shown);
  });
  void refresh();
  return {
    value: value.asReadonly(),
    problem: problem.asReadonly(),
    since: since.asReadonly(),
    loading: computed(() => value() === undefined && problem() === null),
    stale: computed(() => {
      const at = since();
      return at !== null && (problem() !== null || now() - at > 3 * pause);
    }),
    refresh,
  };
}
