import { apiAddress } from './address';
import { asProblem, problemOf } from './problem';

/** One server-sent event; `data` is its JSON. */
export interface ServerEvent {
  id: string | null;
  name: string;
  data: unknown;
}

const LONGEST_PAUSE = 15_000;

/**
 * Follow a job's events until `completed`, coming back where a connection breaks.
 *
 * @throws {Problem} the server refuses for good.
 */
export async function* follow(path: string, signal: AbortSignal): AsyncGenerator<ServerEvent> {
  let last: string | null = null;
  let pause = 1_000;
  while (!signal.aborted) {
    try {
      for await (const event of once(path, last, signal)) {
        last = event.id ?? last;
        pause = 1_000;
        yield event;
        if (event.name === 'completed') return;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      const problem = asProblem(thrown);
      if (!problem.passing) throw problem;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

async function* once(
  path: string,
  last: string | null,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (last !== null) headers['Last-Event-ID'] = last;
  const response = await fetch(apiAddress + path, { headers, signal });
  if (!response.ok || response.body === null) {
    const body: unknown = await response.json().catch(() => null);
    throw problemOf(response.status, body, response.headers.get('Retry-After'));
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value.replaceAll('\r\n', '\n');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const event = parse(text.slice(0, end));
        text = text.slice(end + 2);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Read one event's lines; null for a comment. */
export function parse(block: string): ServerEvent | null {
  let id: string | null = null;
  let name = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') id = value;
    else if (field === 'event') name = value;
    else if (field === 'data') data.push(value);
  }
  if (data.length === 0) return null;
  return { id, name, data: JSON.parse(data.join('\n')) as unknown };
}
