import { Injectable, signal } from '@angular/core';

/** Whether this browser thinks that it has a network. */
@Injectable({ providedIn: 'root' })
export class OnlineStore {
  private readonly state = signal(navigator.onLine);
  readonly online = this.state.asReadonly();

  constructor() {
    addEventListener('online', () => this.state.set(true));
    addEventListener('offline', () => this.state.set(false));
  }
}
