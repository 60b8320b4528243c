import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { NavigationEnd, Router, RouterLink, RouterLinkActive, RouterOutlet } from '@angular/router';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import { filter } from 'rxjs';
import { OnlineStore } from '../core/online';
import { HealthStore } from '../core/service-health';
import { ThemeStore } from '../core/theme';
import { OPERATE, TRY } from './places';

/** What surrounds every page: the menu, how the service is, and what stands in the way. */
@Component({
  selector: 'app-shell',
  imports: [RouterOutlet, RouterLink, RouterLinkActive],
  templateUrl: './shell.html',
  styleUrl: './shell.scss',
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Shell {
  protected readonly groups = [
    { label: 'Try', places: TRY },
    { label: 'Operate', places: OPERATE },
  ];
  protected readonly health = inject(HealthStore);
  protected readonly online = inject(OnlineStore).online;
  protected readonly themes = inject(ThemeStore);
  protected readonly open = signal(false);
  protected readonly tone = computed(() => {
    const status = this.health.status();
    if (status === 'healthy') return 'good';
    return status === 'failed' || status === 'unreachable' ? 'bad' : 'warn';
  });
  protected readonly trouble = computed(() => {
    const found = this.health.health();
    return found && found.status !== 'healthy' ? found.reason : null;
  });

  constructor() {
    inject(Router)
      .events.pipe(
        filter((event) => event instanceof NavigationEnd),
        takeUntilDestroyed(),
      )
      .subscribe(() => this.open.set(false));
  }

  /** Put the keyboard's focus on the page, past the menu. */
  protected skip(event: Event): void {
    event.preventDefault();
    document.getElementById('main')?.focus();
  }
}
