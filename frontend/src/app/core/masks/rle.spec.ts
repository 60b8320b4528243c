import { describe, expect, it } from 'vitest';
// Encoded by pycocotools; `pixels` is the mask itself, row by row.
import fixtures from './masks.fixture.json';
import { type EncodedMask, area, paint, runs } from './rle';

const masks = fixtures.map((one) => ({ ...one, size: one.size as unknown as [number, number] }));

describe('masks', () => {
  it.each(masks)('$name is read as pycocotools wrote it', (mask) => {
    const map = new Uint16Array(mask.size[0] * mask.size[1]);
    paint(mask, map, 7);
    expect([...map].map((value) => (value === 7 ? '1' : '0')).join('')).toBe(mask.pixels);
    expect(area(mask)).toBe([...mask.pixels].filter((pixel) => pixel === '1').length);
  });

  it('refuses what is cut off, too long, or of another size', () => {
    const whole = masks[0] as EncodedMask;
    expect(() => runs({ ...whole, counts: whole.counts.slice(0, -1) })).toThrow();
    expect(() => runs({ ...whole, size: [3, 3] })).toThrow('does not fill');
    expect(() => paint(whole, new Uint16Array(3), 1)).toThrow('another size');
  });
});
