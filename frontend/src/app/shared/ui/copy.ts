import { ChangeDetectionStrategy, Component, input, signal } from '@angular/core';

/** Puts a text on the clipboard, and says so. */
@Component({
  selector: 'app-copy',
  template: `
    <button type="button" class="button compact" (click)="copy()">
      <ng-content>Copy</ng-content>
    </button>
    <span class="small muted" role="status">{{ said() }}</span>
  `,
  styles: `
    :host {
      display: inline-flex;
      align-items: center;
      gap: var(--space-2);
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Copy {
  readonly text = input.required<string>();
  protected readonly said = signal('');

  protected async copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.text());
      this.said.set('Copied');
    } catch {
      this.said.set('The browser does not allow it; select the text and copy it.');
    }
    setTimeout(() => this.said.set(''), 3_000);
  }
}
