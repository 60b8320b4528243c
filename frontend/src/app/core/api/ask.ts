import { apiAddress } from './address';
import { client } from './generated/client.gen';
import { Problem, asProblem, problemOf } from './problem';

client.setConfig({ baseUrl: apiAddress, throwOnError: false });

interface Answered<T> {
  data?: T;
  error?: unknown;
  response?: Response;
}

/**
 * Return what a call of the generated client brings.
 *
 * @throws {Problem} whatever else came, an answer or none.
 */
export async function ask<T>(call: Promise<Answered<T>>): Promise<T> {
  let answered: Answered<T>;
  try {
    answered = await call;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'AbortError') throw thrown;
    throw asProblem(thrown);
  }
  const { response } = answered;
  if (response === undefined) throw asProblem(answered.error);
  if (!response.ok) {
    throw problemOf(response.status, answered.error, response.headers.get('Retry-After'));
  }
  return answered.data as T;
}

/** Whether an error only says that nobody waits any more. */
export function aborted(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === 'AbortError';
}

export { Problem, asProblem };
