/**
 * AWS keys, the sources of them, and the JSON in which programs and services give them. Pure.
 */

/** The keys of one identity, for as long as they hold. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** null: the keys are not those of a session. */
  readonly sessionToken: string | null
  /** Milliseconds since 1970; null: they have no end. */
  readonly expiresMs: number | null
}

export interface KeySource {
  /** As messages name it. */
  readonly name: string
  /**
   * The keys that it has now; null: it is not set up here.
   * @param isAgain those of before were refused: nothing that was kept is good enough
   * @throws CacheError access-denied when it is set up wrong; origin-* when a service fails
   */
  keys(isAgain: boolean): Promise<AwsKeys | null>
}

/**
 * The keys in the JSON of a program or a service. Source: AWS SDKs and Tools Reference Guide, "Process credential
 * provider"; EC2 User Guide, "Retrieve security credentials from instance metadata".
 * @throws Error, with nothing of the text
 */
export function keysInJson(text: string): AwsKeys {
  let said: Readonly<Record<string, unknown>> | null
  try {
    said = JSON.parse(text) as typeof said
  } catch {
    throw new Error('it is not JSON')
  }
  const { AccessKeyId, SecretAccessKey, SessionToken, Token, Expiration } = said ?? {}
  const expiresMs = Expiration === undefined || Expiration === null ? null : Date.parse(String(Expiration))
  if (Number.isNaN(expiresMs)) throw new Error('its Expiration is no time')
  return keysOf(AccessKeyId, SecretAccessKey, SessionToken ?? Token, expiresMs)
}

/** @throws Error, with nothing of the values */
export function keysOf(id: unknown, secret: unknown, token: unknown, expiresMs: number | null): AwsKeys {
  if (!isWord(id) || !isWord(secret)) throw new Error('it has no access key and secret key')
  if (token === undefined || token === null || token === '') {
    return { accessKeyId: id, secretAccessKey: secret, sessionToken: null, expiresMs }
  }
  if (!isWord(token)) throw new Error('its session token is no text')
  return { accessKeyId: id, secretAccessKey: secret, sessionToken: token, expiresMs }
}

/** A text that can stand in a header. */
function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)
}
