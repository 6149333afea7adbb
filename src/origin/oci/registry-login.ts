/**
 * Login for a registry: from the settings, or as docker and podman keep it.
 *
 * A helper is a program docker-credential-NAME: it gets the registry's name and answers with a login as JSON. A login
 * is read anew after a while, and when the registry refuses it.
 * Source: Docker CLI reference, "docker login" (credsStore, credHelpers, auths); docker-credential-helpers, README
 * (get, `<token>`); containers-auth.json(5) (search order, names with paths).
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { SharedRun } from '../../async/shared-run.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { secretCommandMsMax, secretRenewMs } from '../http/limits.ts'
import { Secret, type SecretOptions, type SecretSource } from '../http/secret.ts'
import { loginFileBytesMax, loginFreshMs, smallAnswerBytesMax } from './limits.ts'

/** The user name of an identity token, which is in place of a password. Source: docker-credential-helpers, README. */
export const identityTokenUser = '<token>'

export interface Login {
  /** Or {@link identityTokenUser}. */
  readonly username: string
  readonly password: string
}

export interface LoginSources {
  /** In place of all others. */
  readonly basic: { readonly username: string; readonly password: SecretSource } | null
  /** docker's config.json or podman's auth.json; null: where those programs look. */
  readonly file: string | null
}

export class RegistryLogin {
  readonly #basic: { readonly username: string; readonly password: Secret } | null
  readonly #files: readonly string[]
  readonly #names: readonly string[]
  readonly #environment: Readonly<Record<string, string | undefined>>
  readonly #now: () => number
  readonly #readings = new SharedRun<void>()
  #login: Login | null = null
  #readMs = Number.NEGATIVE_INFINITY

  /** @param names of the registry in those files, the most particular first */
  constructor({ basic, file }: LoginSources, names: readonly string[], options: SecretOptions) {
    this.#basic = basic && { username: basic.username, password: new Secret(basic.password, options) }
    this.#environment = options.environment ?? process.env
    this.#files = file === null ? usualFiles(this.#environment) : [file]
    this.#names = names
    this.#now = options.now ?? (() => performance.now())
  }

  /**
   * The login as it is kept; null: there is none.
   * @throws CacheError access-denied when there is one that cannot be read
   */
  async current(): Promise<Login | null> {
    if (this.#basic) return { username: this.#basic.username, password: await this.#basic.password.value() }
    if (this.freshMs <= 0) await this.#readings.run(() => this.#read())
    return this.#login
  }

  /** The time for which it is good without being read anew, in milliseconds. */
  get freshMs(): number {
    return this.#basic ? this.#basic.password.freshMs : loginFreshMs - (this.#now() - this.#readMs)
  }

  /** The registry refuses it: it is read anew at the next call, unless that was done a moment ago. */
  async renew(): Promise<void> {
    if (this.#basic) await this.#basic.password.renew()
    else if (this.#now() - this.#readMs >= secretRenewMs) this.#readMs = Number.NEGATIVE_INFINITY
  }

  async #read(): Promise<void> {
    let found: Login | null = null
    for (const file of this.#files) {
      found = await this.#loginIn(file)
      if (found !== null) break
    }
    this.#login = found
    this.#readMs = this.#now()
  }

  async #loginIn(file: string): Promise<Login | null> {
    try {
      const kept = await readKept(file)
      if (kept === null) return null
      for (const name of this.#names) {
        const helper = kept.helpers[name]
        if (helper !== undefined) return await this.#ask(helper, name)
      }
      for (const name of kept.store === null ? [] : this.#names) {
        const found = await this.#ask(kept.store!, name)
        if (found !== null) return found
      }
      const name = this.#names.find(name => kept.auths[name] !== undefined)
      if (name === undefined) return null
      if (kept.isOpen) throw new Error(`others may read or write it: run "chmod 600 ${file}"`)
      return loginOf(kept.auths[name]!)
    } catch (cause) {
      const message = `the logins of registries in ${file} are not usable: ${messageOf(cause)}`
      throw new CacheError('access-denied', message, { cause })
    }
  }

  /** @returns null where the helper has none @throws Error */
  async #ask(helper: string, name: string): Promise<Login | null> {
    if (!/^[\w.-]{1,64}$/.test(helper)) throw new Error('a credential helper has a name that is none')
    const text = await this.#outputOf(`docker-credential-${helper}`, name)
    if (text === null) return null
    const { Username, Secret } = parsed(text, `docker-credential-${helper} wrote what`)
    if (typeof Username !== 'string' || typeof Secret !== 'string')
      throw new Error(`docker-credential-${helper} gave none`)
    return { username: Username, password: Secret }
  }

  /** Output of a helper; null when it knows no such registry. Its complaints may be secret. */
  #outputOf(program: string, input: string): Promise<string | null> {
    return new Promise((resolve, reject) => {
      const options = { timeout: secretCommandMsMax, killSignal: 'SIGKILL', maxBuffer: smallAnswerBytesMax } as const
      const child = execFile(program, ['get'], { ...options, cwd: '/', env: this.#environment }, (error, stdout) => {
        if (!error) return resolve(stdout)
        if (/credentials not found|no credentials/i.test(stdout)) return resolve(null)
        const { code, signal, killed } = error
        const how = killed ? `took longer than ${secretCommandMsMax} ms` : `ended with ${code ?? signal}`
        reject(new Error(`${program} ${how}`))
      })
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
    })
  }
}

/** A file of logins. */
interface Kept {
  readonly auths: Readonly<Record<string, unknown>>
  readonly helpers: Readonly<Record<string, string>>
  readonly store: string | null
  /** Others may read or write it. */
  readonly isOpen: boolean
}

/** @returns null where there is no such file @throws Error */
async function readKept(file: string): Promise<Kept | null> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch(error => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  })
  if (handle === null) return null
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error('it is not a regular file')
    if (stat.size > loginFileBytesMax) throw new Error(`it is longer than ${loginFileBytesMax} bytes`)
    const value = parsed(await handle.readFile('utf8'), 'it')
    const { auths, credHelpers, credsStore } = value
    const helpers = Object.entries(isObject(credHelpers) ? credHelpers : {})
    return {
      auths: isObject(auths) ? auths : {},
      helpers: Object.fromEntries(helpers.filter((pair): pair is [string, string] => typeof pair[1] === 'string')),
      store: typeof credsStore === 'string' && credsStore !== '' ? credsStore : null,
      isOpen: (stat.mode & 0o027) !== 0,
    }
  } finally {
    await handle.close()
  }
}

/** @throws Error without the text, which has secrets in it */
function parsed(text: string, subject: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {}
  throw new Error(`${subject} is no JSON object`)
}

/** @returns null for an entry that has none: its login is in a store @throws Error */
function loginOf(entry: unknown): Login | null {
  if (!isObject(entry)) return null
  if (typeof entry.identitytoken === 'string' && entry.identitytoken !== '') {
    return { username: identityTokenUser, password: entry.identitytoken }
  }
  const { auth, username, password } = entry
  if (typeof username === 'string' && typeof password === 'string') return { username, password }
  if (typeof auth !== 'string' || auth === '') return null
  const [, name, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(auth, 'base64').toString('utf8')) ?? []
  if (name === undefined || secret === undefined) throw new Error('an entry of it cannot be read')
  return { username: name, password: secret.replace(/\0+$/, '') }
}

/** The files in which podman and docker look, in this order. */
function usualFiles(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const { REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, DOCKER_CONFIG, HOME } = environment
  if (REGISTRY_AUTH_FILE) return [REGISTRY_AUTH_FILE]
  return [
    ...(XDG_RUNTIME_DIR ? [join(XDG_RUNTIME_DIR, 'containers/auth.json')] : []),
    ...(DOCKER_CONFIG ? [join(DOCKER_CONFIG, 'config.json')] : HOME ? [join(HOME, '.docker/config.json')] : []),
  ]
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
