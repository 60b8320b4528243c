import type { ErrorDetail } from './generated';

/** What went wrong with a request, in words for people. `status` 0: no answer came at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly detail: Partial<ErrorDetail> & { message: string },
    /** Seconds after which the server asks to be tried again. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail.message);
  }

  /** Whether the same request may well succeed a little later. */
  get passing(): boolean {
    return [0, 408, 425, 429, 502, 503, 504].includes(this.status);
  }
}

const WORDS: Record<number, string> = {
  0: 'The server cannot be reached. Is it running, and are you online?',
  401: 'This needs a key.',
  403: 'The key does not allow this.',
  404: 'There is nothing here.',
  413: 'That is too large.',
  429: 'Too many requests; a moment later it works again.',
  503: 'The service is busy or still starting.',
  504: 'It took too long.',
};

/** Make a problem of whatever an answer's body was. */
export function problemOf(status: number, body: unknown, retryAfter: string | null): Problem {
  const said = isRecord(body) && isRecord(body['error']) ? body['error'] : undefined;
  const message =
    said && typeof said['message'] === 'string'
      ? said['message']
      : (WORDS[status] ?? `The server answered with status ${status}.`);
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  return new Problem(status, { ...said, message }, Number.isFinite(seconds) ? seconds : null);
}

/** Make a problem of something that was thrown. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  return new Problem(0, { message: WORDS[0] ?? '' });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
