import { describe, expect, it } from 'vitest';
import { ago, bytes, count, percent, seconds } from './format';

describe('format', () => {
  it('sizes', () => {
    expect([0, 999, 1000, 1_536_000, 2e12, null].map(bytes)).toEqual([
      '0 B',
      '999 B',
      '1 kB',
      '1.54 MB',
      '2 TB',
      '–',
    ]);
  });

  it('times', () => {
    expect([0.0000042, 0.0042, 0.9996, 12.345, 83, 3600, 90_061].map(seconds)).toEqual([
      '4.2 µs',
      '4.2 ms',
      '1 s',
      '12.3 s',
      '1 min 23 s',
      '1 h',
      '1 d 1 h',
    ]);
  });

  it('counts, shares and ages', () => {
    expect(count(12345)).toBe('12,345');
    expect(percent(0.1234)).toBe('12.3 %');
    expect(ago(0, 2_000)).toBe('just now');
    expect(ago(0, 200_000)).toBe('3 min ago');
  });
});
