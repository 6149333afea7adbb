/**
 * Secrets, read from the operator's place: a file, the environment, or a program. The value is in no setting, no
 * message and no log.
 *
 * It is read anew when it may have changed, so that a token which expires can be replaced under a running mount. While
 * that fails, the earlier value stays in use: the server judges whether it is still good.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { SharedRun } from '../../async/shared-run.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { keyedFileBytesMax, secretBytesMax, secretCommandMsMax, secretFileMs } from './limits.ts'
import { parsedYaml, valueAt } from './yaml-text.ts'

/** The source of a secret. */
export type SecretSource =
  /** With `keys`, the value below them in a file of YAML; else all of the file. */
  | { readonly file: string; readonly keys?: readonly string[] }
  | { readonly env: string }
  /** A program and its arguments, started without a shell; its output is taken as good for `refresh` milliseconds. */
  | { readonly command: readonly [string, ...string[]]; readonly refresh: number }

export interface SecretOptions {
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now?: () => number
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Other than the limit, for tests. */
  readonly commandMsMax?: number
}

export class Secret {
  readonly #source: SecretSource
  readonly #options: SecretOptions
  readonly #now: () => number
  #value: string | null = null
  #readMs = Number.NEGATIVE_INFINITY
  readonly #readings = new SharedRun<string>()
  /** The last warning: once is enough. */
  #warned = ''

  constructor(source: SecretSource, options: SecretOptions) {
    this.#source = source
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /**
   * The value, at most as old as its source allows.
   * @throws CacheError access-denied when there never was one
   */
  async value(): Promise<string> {
    return this.#value !== null && this.freshMs > 0 ? this.#value : await this.renew()
  }

  /** The time for which the value is good without being read anew, in milliseconds. */
  get freshMs(): number {
    return this.#value === null ? 0 : this.#goodMs - (this.#now() - this.#readMs)
  }

  /**
   * The value as its source has it now; many callers at once cause one reading.
   * @throws CacheError access-denied when there never was one
   */
  renew(): Promise<string> {
    return this.#readings.run(() => this.#renew())
  }

  get #goodMs(): number {
    if ('command' in this.#source) return this.#source.refresh
    return 'file' in this.#source ? secretFileMs : Number.POSITIVE_INFINITY
  }

  async #renew(): Promise<string> {
    try {
      this.#value = headerValueOf(await this.#read())
    } catch (cause) {
      const message = `the secret from ${nameOf(this.#source)} is not usable: ${messageOf(cause)}`
      if (this.#value === null) throw new CacheError('access-denied', message, { cause })
      this.#warn(`${message}; the one of before is used`)
    }
    this.#readMs = this.#now()
    return this.#value
  }

  async #read(): Promise<string> {
    if ('file' in this.#source) return await this.#readFile(this.#source)
    if ('command' in this.#source) return await outputOfProgram(this.#source.command, this.#options.commandMsMax)
    const value = (this.#options.environment ?? process.env)[this.#source.env]
    if (value === undefined) throw new Error('the variable is not set')
    return value
  }

  async #readFile({ file, keys }: { readonly file: string; readonly keys?: readonly string[] }): Promise<string> {
    const bytesMax = keys === undefined ? secretBytesMax : keyedFileBytesMax
    // A pipe without a writer must not hold us.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await handle.stat()
      if (!stat.isFile()) throw new Error('it is not a regular file')
      const why = whyReadable(stat.mode, file)
      if (why !== null) throw new Error(why)
      if ((stat.mode & 0o040) !== 0) this.#warn(`the secret file ${file} can be read by its group`)
      const bytes = Buffer.alloc(bytesMax + 1)
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
      if (bytesRead > bytesMax) throw new Error(`it is longer than ${bytesMax} bytes`)
      const text = bytes.toString('utf8', 0, bytesRead)
      if (keys === undefined) return text
      const value = valueAt(parsedYaml(text), keys)
      if (typeof value === 'string') return value
      throw new Error(`its ${keys.join('.')} is not a text: write it in quotes`)
    } finally {
      await handle.close()
    }
  }

  #warn(message: string): void {
    if (message === this.#warned) return
    this.#warned = message
    this.#options.logger.warn({}, message)
  }
}

/** The complaint about the mode of a file with secrets; null: others neither read nor write it. */
export function whyReadable(mode: number, file: string): string | null {
  return (mode & 0o027) === 0 ? null : `others may read or write it: run "chmod 600 ${file}"`
}

/** For messages: of a command its program alone, because arguments may say more. */
function nameOf(source: SecretSource): string {
  if ('file' in source) return `file ${source.file}`
  return 'env' in source ? `variable ${source.env}` : `command ${source.command[0]}`
}

/** One line without control characters, which would end a header. @throws Error */
function headerValueOf(text: string): string {
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw new Error('it is empty')
  if (!/^[\x20-\x7e\x80-\xff]*$/.test(value)) throw new Error('it is not one line of text')
  return value
}

/**
 * The output of a program and its arguments, started without a shell.
 * @throws Error, with nothing of the arguments and of what the program wrote
 */
export function outputOfProgram(
  [program, ...args]: readonly [string, ...string[]],
  timeout = secretCommandMsMax,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout, killSignal: 'SIGKILL', maxBuffer: secretBytesMax, cwd: '/', shell: false } as const
    const child = execFile(program, args, options, (error, stdout) => {
      if (!error) return resolve(stdout)
      // Its own message repeats the arguments and what the program complained about.
      const { code, signal, killed } = error as NodeJS.ErrnoException & { signal?: string; killed?: boolean }
      const how = killed ? `it took longer than ${timeout} ms` : `it ended with ${code ?? signal}`
      reject(
        new Error(
          String(code) === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' ? `it wrote more than ${secretBytesMax} bytes` : how,
        ),
      )
    })
    child.stdin?.on('error', () => {}) // It may not want any.
    child.stdin?.end()
  })
}
