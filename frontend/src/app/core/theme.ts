import { Injectable, effect, signal } from '@angular/core';
import { stored } from './stored';

export type Theme = 'system' | 'light' | 'dark';
const ORDER: readonly Theme[] = ['system', 'light', 'dark'];

/** Light, dark, or as the machine has it; remembered in this browser. */
@Injectable({ providedIn: 'root' })
export class ThemeStore {
  private readonly kept = stored<Theme>('theme', 'system');
  private readonly chosen = signal<Theme>(
    ORDER.includes(this.kept.get()) ? this.kept.get() : 'system',
  );
  readonly theme = this.chosen.asReadonly();

  constructor() {
    effect(() => {
      const theme = this.chosen();
      if (theme === 'system') delete document.documentElement.dataset['theme'];
      else document.documentElement.dataset['theme'] = theme;
    });
  }

  /** Go on to the next of the three. */
  next(): void {
    const at = ORDER.indexOf(this.chosen());
    const theme = ORDER[(at + 1) % ORDER.length] ?? 'system';
    this.chosen.set(theme);
    this.kept.set(theme);
  }
}
