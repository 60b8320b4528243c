import {
  ChangeDetectionStrategy,
  Component,
  ElementRef,
  input,
  output,
  viewChild,
} from '@angular/core';

/** Asks before something is done; the content says what will happen. */
@Component({
  selector: 'app-confirm',
  template: `
    <dialog #dialog aria-labelledby="confirm-title" (close)="closed()">
      <form method="dialog" class="stack">
        <h2 id="confirm-title">{{ heading() }}</h2>
        <div><ng-content /></div>
        <div class="row actions">
          <button type="submit" class="button" value="no">Cancel</button>
          <button type="submit" class="button primary" value="yes">{{ action() }}</button>
        </div>
      </form>
    </dialog>
  `,
  styles: `
    dialog {
      width: min(30rem, calc(100vw - 2rem));
      padding: var(--space-5);
      border: 1px solid var(--line);
      border-radius: var(--radius);
      background: var(--raised);
      color: var(--text);
    }
    dialog::backdrop {
      background: rgb(0 0 0 / 45%);
    }
    .actions {
      justify-content: end;
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Confirm {
  readonly heading = input.required<string>();
  readonly action = input.required<string>();
  readonly confirmed = output();
  private readonly dialog = viewChild.required<ElementRef<HTMLDialogElement>>('dialog');

  open(): void {
    const dialog = this.dialog().nativeElement;
    dialog.returnValue = 'no';
    dialog.showModal();
  }

  protected closed(): void {
    if (this.dialog().nativeElement.returnValue === 'yes') this.confirmed.emit();
  }
}
