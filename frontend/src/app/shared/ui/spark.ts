import {
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  ElementRef,
  afterNextRender,
  afterRenderEffect,
  inject,
  input,
  viewChild,
} from '@angular/core';
import uPlot from 'uplot';

/** Times (seconds since 1970) and values side by side; a missing value is a gap. */
export interface Points {
  times: number[];
  values: (number | null)[];
}

/** A small line of how something went lately. The figure beside it says the same in words. */
@Component({
  selector: 'app-spark',
  template: `<div #place class="place" aria-hidden="true"></div>`,
  styles: `
    :host {
      display: block;
      min-width: 0;
    }
    .place {
      height: 2.75rem;
      overflow: hidden;
    }
  `,
  changeDetection: ChangeDetectionStrategy.OnPush,
})
export class Spark {
  readonly points = input.required<Points>();
  private readonly place = viewChild.required<ElementRef<HTMLElement>>('place');
  private plot: uPlot | undefined;

  constructor() {
    let watcher: ResizeObserver | undefined;
    afterNextRender(() => {
      const element = this.place().nativeElement;
      watcher = new ResizeObserver(() =>
        this.plot?.setSize({ width: element.clientWidth, height: element.clientHeight }),
      );
      watcher.observe(element);
    });
    afterRenderEffect(() => this.draw());
    inject(DestroyRef).onDestroy(() => {
      watcher?.disconnect();
      this.plot?.destroy();
    });
  }

  private draw(): void {
    const { times, values } = this.points();
    const data: uPlot.AlignedData = [times, values];
    if (this.plot) {
      this.plot.setData(data);
      return;
    }
    const element = this.place().nativeElement;
    const colour = (): string => getComputedStyle(element).getPropertyValue('--accent');
    this.plot = new uPlot(
      {
        width: element.clientWidth,
        height: element.clientHeight,
        cursor: { show: false },
        legend: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
        series: [{}, { stroke: colour, width: 1.5, points: { show: false } }],
        padding: [2, 0, 2, 0],
      },
      data,
      element,
    );
  }
}
