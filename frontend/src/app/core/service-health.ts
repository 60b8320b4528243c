import { Injectable, computed } from '@angular/core';
import { ask } from './api/ask';
import { health, type Health } from './api/generated';
import { polled } from './polled';

/** How the service is, looked at every few seconds for as long as the page is open. */
@Injectable({ providedIn: 'root' })
export class HealthStore {
  private readonly seen = polled<Health>((signal) => ask(health({ signal })), 10_000);
  readonly health = this.seen.value;
  readonly problem = this.seen.problem;
  readonly status = computed(() => {
    if (this.seen.problem()) return 'unreachable';
    return this.seen.value()?.status ?? 'unknown';
  });

  refresh(): Promise<void> {
    return this.seen.refresh();
  }
}
