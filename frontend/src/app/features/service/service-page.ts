import { ChangeDetectionStrategy, Component } from '@angular/core';

@Component({
  selector: 'app-service-page',
  template: `<div class="page"><h1>Service</h1></div>`,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class ServicePage {}
