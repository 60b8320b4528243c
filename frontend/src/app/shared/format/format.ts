/** Numbers, sizes and times in a few characters, the same on every page. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** 1536000 → "1.54 MB"; powers of ten, as disks are sold. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  let at = 0;
  let left = Math.abs(value);
  while (left >= 999.5 && at < UNITS.length - 1) {
    left /= 1000;
    at += 1;
  }
  const sign = value < 0 ? '−' : '';
  return `${sign}${at === 0 ? left : significant(left)} ${UNITS[at] ?? ''}`;
}

/** 0.0042 → "4.2 ms", 83 → "1 min 23 s". */
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (value < 0.000_999_5) return `${significant(value * 1e6)} µs`;
  if (value < 0.9995) return `${significant(value * 1e3)} ms`;
  if (value < 59.95) return `${significant(value)} s`;
  const whole = Math.round(value);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** 12345 → "12,345". */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : value.toLocaleString('en');
}

/** 0.1234 → "12.3 %". */
export function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : `${significant(value * 100)} %`;
}

/** Three significant figures, without zeros that say nothing. */
export function significant(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 999.5) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

/** "3 min ago", as of now; both in milliseconds since 1970. */
export function ago(then: number, now: number): string {
  const passed = Math.max(0, (now - then) / 1000);
  return passed < 5
    ? 'just now'
    : `${seconds(Math.round(passed)).split(' ').slice(0, 2).join(' ')} ago`;
}
