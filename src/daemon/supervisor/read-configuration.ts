/**
 * Reads the configuration file for a reload, in a process of its own. The supervisor lives as long as the mount: the
 * parser would take 20 MiB of it from then on, and an installation may have replaced the files that it consists of.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { noInspectorArguments } from '../../base/no-inspector.ts'
import type { ConfigurationDocument, ReadConfiguration } from '../config/settings.ts'
import { messageBytesMax } from '../ipc/limits.ts'
import { configurationMsMax } from './limits.ts'

/**
 * @param workerMain the program of the worker, beside which the one that reads lies
 * @throws CacheError invalid-argument: it is not usable, or was not read in time
 */
export function readConfigurationIn(
  workerMain: string,
  file: string,
  msMax: number = configurationMsMax,
): Promise<ConfigurationDocument> {
  const main = join(workerMain.slice(0, workerMain.lastIndexOf('/daemon/')), 'daemon/config/configuration-main.js')
  return new Promise((resolve, reject) => {
    const options = { timeout: msMax, killSignal: 'SIGKILL', maxBuffer: messageBytesMax, env: {} } as const
    execFile(process.execPath, [...noInspectorArguments, main, file], options, (cause, stdout) => {
      if (cause) return reject(new CacheError('invalid-argument', `${file} could not be read`, { cause }))
      const read = JSON.parse(stdout) as ReadConfiguration
      if ('document' in read) resolve(read.document)
      else reject(new CacheError(read.code, read.message))
    })
  })
}
