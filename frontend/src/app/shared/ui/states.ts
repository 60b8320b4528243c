import { ChangeDetectionStrategy, Component, input, output } from '@angular/core';
import type { Problem } from '../../core/api/problem';

/** Something is on its way. */
@Component({
  selector: 'app-loading',
  template: `<p class="box" role="status">
    <span class="spinner" aria-hidden="true"></span>{{ text() }}
  </p>`,
  styles: `
    .box {
      display: flex;
      align-items: center;
      justify-content: center;
      gap: var(--space-3);
      padding: var(--space-6) var(--space-4);
      color: var(--muted);
    }
    .spinner {
      width: 1.125rem;
      height: 1.125rem;
      border: 2px solid var(--line);
      border-block-start-color: var(--accent);
      border-radius: 50%;
      animation: turn 0.8s linear infinite;
    }
    @keyframes turn {
      to {
        transform: rotate(1turn);
      }
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Loading {
  readonly text = input('Loading…');
}

/** There is nothing yet; the content says what to do about it. */
@Component({
  selector: 'app-empty',
  template: `<div class="box">
    <h2>{{ heading() }}</h2>
    <p><ng-content /></p>
  </div>`,
  styles: `
    .box {
      display: grid;
      gap: var(--space-2);
      justify-items: center;
      padding: var(--space-6) var(--space-4);
      border: 1px dashed var(--line-strong);
      border-radius: var(--radius);
      text-align: center;
    }
    p {
      max-width: 52ch;
      color: var(--muted);
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Empty {
  readonly heading = input.required<string>();
}

/** What went wrong, where, what was expected, and a way to try again. */
@Component({
  selector: 'app-problem',
  template: `
    <div class="banner bad box" role="alert">
      <div class="said">
        <strong>{{ problem().message }}</strong>
        @if (problem().detail.expected; as expected) {
          <span>
            @if (problem().detail.where; as where) {
              <code>{{ where }}</code
              >:
            }
            expected {{ expected }}
          </span>
        }
        @if (problem().detail.request_id; as id) {
          <span class="small"
            >Request <code>{{ id }}</code></span
          >
        }
      </div>
      @if (again()) {
        <button type="button" class="button compact" (click)="retry.emit()">Try again</button>
      }
    </div>
  `,
  styles: `
    .box {
      justify-content: space-between;
    }
    .said {
      display: grid;
      gap: var(--space-1);
      min-width: 0;
      overflow-wrap: anywhere;
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class ProblemBox {
  readonly problem = input.required<Problem>();
  /** Offer to try again. */
  readonly again = input(true);
  readonly retry = output();
}
