/**
 * Files of the page, from `web/` at the top of the package: read once, at the first request, and served from memory.
 *
 * Nothing but these files is served, by their names: no path of a request reaches the file system.
 */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CacheError } from '../base/errors.ts'
import { webPageBytesMax } from './limits.ts'

export interface WebFile {
  readonly type: string
  readonly bytes: Buffer
  readonly etag: string
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Headers of every answer. The page gets nothing from elsewhere, is in no frame, makes no code from text, and tells no
 * address. Source: W3C, Content Security Policy Level 3; Trusted Types.
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
}

export class WebFiles {
  readonly #directory: string
  #files: Promise<ReadonlyMap<string, WebFile>> | undefined

  constructor(directory = webDirectory()) {
    this.#directory = directory
  }

  /** @param path without a slash in front; empty: the page. @throws CacheError not-found when there are no files */
  async find(path: string): Promise<WebFile | null> {
    this.#files ??= this.#read()
    try {
      return (await this.#files).get(path === '' ? 'index.html' : path) ?? null
    } catch (cause) {
      this.#files = undefined
      throw new CacheError('not-found', `the files of the page are not in ${this.#directory}: install them`, { cause })
    }
  }

  async #read(): Promise<ReadonlyMap<string, WebFile>> {
    const names = await readdir(this.#directory, { recursive: true })
    const files = new Map<string, WebFile>()
    let bytesTotal = 0
    for (const name of names.sort()) {
      const type = types[extname(name)]
      if (type === undefined) continue
      const bytes = await readFile(join(this.#directory, name))
      bytesTotal += bytes.length
      if (bytesTotal > webPageBytesMax) throw new Error(`more than ${webPageBytesMax} bytes`)
      files.set(name, { type, bytes, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` })
    }
    return files
  }
}

/** `web/` beside the package.json above this file. */
export function webDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  const isTop = (at: string) => {
    try {
      return (JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')) as { name?: string }).name === 'parentfs'
    } catch {
      return false
    }
  }
  while (!isTop(directory) && directory !== dirname(directory)) directory = dirname(directory)
  return join(directory, 'web')
}
