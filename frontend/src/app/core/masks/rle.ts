/** Height and width in pixels, and compressed run lengths, column by column (COCO). */
export interface EncodedMask {
  size: readonly [number, number];
  counts: string;
}

const LOWEST = 48;

/**
 * Read run lengths: background, object, background, … pixels, going down the columns.
 *
 * Each number is written in groups of five bits, the lowest first; a sixth bit says that more
 * come, and from the fourth number on it is the difference to the one two places before.
 *
 * @throws {Error} the text is cut off, or runs over the mask's end.
 */
export function runs(mask: EncodedMask): Uint32Array {
  const { counts, size } = mask;
  const found = new Uint32Array(counts.length);
  let length = 0;
  let total = 0;
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let shift = 0;
    let group: number;
    do {
      if (at >= counts.length) throw new Error('The mask is cut off.');
      group = counts.charCodeAt(at++) - LOWEST;
      value |= (group & 0x1f) << shift;
      shift += 5;
    } while (group & 0x20);
    // The last group's highest bit is the sign.
    if (group & 0x10 && shift < 32) value |= -1 << shift;
    if (length > 2) value += found[length - 2] ?? 0;
    if (value < 0) throw new Error('The mask has a run of negative length.');
    found[length++] = value;
    total += value;
  }
  if (total !== size[0] * size[1]) throw new Error('The mask does not fill its picture.');
  return found.subarray(0, length);
}

/**
 * Write an instance's number wherever its mask is.
 *
 * @param map one number for each pixel, row by row; as large as the mask.
 */
export function paint(mask: EncodedMask, map: Uint16Array, number: number): void {
  const [height, width] = mask.size;
  if (map.length !== height * width) throw new Error('The mask is of another size.');
  let row = 0;
  let column = 0;
  let inside = false;
  for (const run of runs(mask)) {
    let left = run;
    while (left > 0) {
      const take = Math.min(left, height - row);
      if (inside) {
        let place = row * width + column;
        for (let n = 0; n < take; n++, place += width) map[place] = number;
      }
      row += take;
      left -= take;
      if (row === height) {
        row = 0;
        column += 1;
      }
    }
    inside = !inside;
  }
}

/** Count the pixels of a mask. */
export function area(mask: EncodedMask): number {
  let sum = 0;
  runs(mask).forEach((run, place) => {
    if (place % 2 === 1) sum += run;
  });
  return sum;
}
