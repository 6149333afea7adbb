/**
 * OpenStack's own client configuration: one cloud of `clouds.yaml`, with what `secure.yaml` adds to it.
 *
 * A cloud stands for the variables of OpenStack's tools. Its secrets stay in their file, from where each login reads
 * them. Fields that would make it another login than the one meant are refused by name.
 * The working directory is not looked at, because that of a daemon is `/`.
 * Source: openstacksdk, "Configuring OpenStack SDK Applications" (places, secure.yaml, fields).
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CacheError, messageOf } from '../../base/errors.ts'
import { whyUntrusted } from '../../base/trusted-path.ts'
import { keyedFileBytesMax } from '../http/limits.ts'
import { type SecretSource, whyReadable } from '../http/secret.ts'
import { isMap, parsedYaml, valueAt } from '../http/yaml-text.ts'
import type { OpenStackEnvironment } from './openstack-options.ts'

/** The login of a cloud, and the way there. */
export interface Cloud {
  /** In place of the variables of the process. */
  readonly environment: OpenStackEnvironment
  readonly password: SecretSource | null
  readonly applicationCredentialSecret: SecretSource | null
  /** File of authorities that its servers are trusted by. */
  readonly ca: string | null
}

/** Fields of `auth`, and the variable that says the same. */
const variableOf: Readonly<Record<string, string>> = {
  auth_url: 'OS_AUTH_URL',
  username: 'OS_USERNAME',
  user_id: 'OS_USER_ID',
  project_name: 'OS_PROJECT_NAME',
  tenant_name: 'OS_PROJECT_NAME',
  project_id: 'OS_PROJECT_ID',
  tenant_id: 'OS_PROJECT_ID',
  user_domain_name: 'OS_USER_DOMAIN_NAME',
  user_domain_id: 'OS_USER_DOMAIN_ID',
  project_domain_name: 'OS_PROJECT_DOMAIN_NAME',
  project_domain_id: 'OS_PROJECT_DOMAIN_ID',
  application_credential_id: 'OS_APPLICATION_CREDENTIAL_ID',
}

const secretFields = ['password', 'application_credential_secret'] as const

/** Kinds of logins that are known. */
const authTypes: readonly unknown[] = ['password', 'v3password', 'v3applicationcredential']

/** Fields beside `auth` that change the login or its endpoint. */
const refusedFields =
  /^(profile|cloud|regions|cert|key|insecure|vendor_hook|endpoint_type|(?:image|object_store)_.*(?:endpoint|interface|region).*)$/

/** A file, and the cloud as it stands there; null: it is not in it. */
interface CloudFile {
  readonly file: string
  readonly mode: number
  readonly cloud: Readonly<Record<string, unknown>> | null
  /** For complaints. */
  readonly names: readonly string[]
}

/**
 * The cloud of that name, as the files have it now.
 * @throws CacheError invalid-argument
 */
export function cloudNamed(name: string, environment: OpenStackEnvironment): Cloud {
  try {
    return cloudIn(name, environment)
  } catch (cause) {
    throw new CacheError('invalid-argument', `cloud ${JSON.stringify(name)}: ${messageOf(cause)}`, { cause })
  }
}

function cloudIn(name: string, environment: OpenStackEnvironment): Cloud {
  const home = join(environment.XDG_CONFIG_HOME || join(environment.HOME || homedir(), '.config'), 'openstack')
  const placesOf = (said: string | undefined, file: string) =>
    said ? [said] : [home, '/etc/openstack'].map(place => join(place, file))
  const places = placesOf(environment.OS_CLIENT_CONFIG_FILE, 'clouds.yaml')
  const general = firstOf(places, name)
  const secure = firstOf(placesOf(environment.OS_CLIENT_SECURE_FILE, 'secure.yaml'), name)
  if (general === null) throw new Error(`there is no file of clouds: ${places.join(', ')}`)
  const { cloud, file } = general
  if (cloud === null) throw new Error(`${file} has ${general.names.slice(0, 20).join(', ') || 'no clouds'}, and not it`)
  const more = secure?.cloud ?? {}
  const whole = { ...cloud, ...more }
  for (const field of Object.keys(whole)) {
    if (refusedFields.test(field)) throw new Error(`${field} in ${file} is not supported`)
  }
  const secretOf = (field: string): SecretSource | null => {
    for (const from of [secure, general]) {
      const secret = valueAt(from?.cloud, ['auth', field])
      if (secret === undefined || secret === null || from === null) continue
      const why = whyReadable(from.mode, from.file)
      if (why !== null) throw new Error(`${from.file} has secrets, and ${why}`)
      return { file: from.file, keys: ['clouds', name, 'auth', field] }
    }
    return null
  }
  const [password, applicationCredentialSecret] = secretFields.map(secretOf) as [
    SecretSource | null,
    SecretSource | null,
  ]
  const auth = { ...mapAt(cloud, 'auth'), ...mapAt(more, 'auth') }
  const ca = caOf(whole, environment)
  return { environment: variablesOf(whole, auth), password, applicationCredentialSecret, ca }
}

/** @throws Error naming the field that is not understood */
function variablesOf(
  cloud: Readonly<Record<string, unknown>>,
  auth: Readonly<Record<string, unknown>>,
): OpenStackEnvironment {
  const { auth_type: type, identity_api_version: version } = cloud
  if (type !== undefined && !authTypes.includes(type))
    throw new Error(`its auth_type is none of ${authTypes.join(', ')}`)
  if (version !== undefined && !/^v?3(\.\d+)?$/.test(String(version)))
    throw new Error('its identity_api_version is not 3')
  const variables: Record<string, string> = {}
  for (const [field, value] of Object.entries(auth)) {
    if (secretFields.includes(field as 'password') || value === null) continue
    const variable = Object.hasOwn(variableOf, field) ? variableOf[field] : undefined
    if (variable === undefined) throw new Error(`auth.${field} is not supported`)
    variables[variable] = textOf(`auth.${field}`, value)
  }
  if (variables.OS_AUTH_URL === undefined) throw new Error('it has no auth.auth_url')
  for (const [field, variable] of [
    ['region_name', 'OS_REGION_NAME'] as const,
    ['interface', 'OS_INTERFACE'] as const,
  ]) {
    const value = cloud[field]
    if (value !== undefined && value !== null) variables[variable] = textOf(field, value)
  }
  return variables
}

/** @throws Error where servers shall not be verified */
function caOf({ verify, cacert }: Readonly<Record<string, unknown>>, { HOME }: OpenStackEnvironment): string | null {
  if (verify !== undefined && verify !== null && verify !== true)
    throw new Error('verify other than true is not supported: give a cacert')
  if (cacert === undefined || cacert === null) return null
  return textOf('cacert', cacert).replace(/^~(?=\/)/, HOME || homedir())
}

function textOf(field: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value)) return value
  throw new Error(`its ${field} is not a text: write it in quotes`)
}

function mapAt(cloud: Readonly<Record<string, unknown>>, field: string): Readonly<Record<string, unknown>> {
  const value = cloud[field] ?? {}
  if (isMap(value)) return value
  throw new Error(`its ${field} has no fields`)
}

/** The first of these files that is there; null: none is. @throws Error */
function firstOf(files: readonly string[], name: string): CloudFile | null {
  for (const file of files) {
    const found = openedOr(file)
    if (found === null) continue
    try {
      const stat = fstatSync(found)
      if (!stat.isFile()) throw new Error('it is not a regular file')
      if (stat.size > keyedFileBytesMax) throw new Error(`it is longer than ${keyedFileBytesMax} bytes`)
      const why = whyUntrusted(file)
      if (why !== null) throw new Error(why)
      const bytes = Buffer.alloc(keyedFileBytesMax)
      const clouds = valueAt(parsedYaml(bytes.toString('utf8', 0, readSync(found, bytes))), ['clouds'])
      const cloud = valueAt(clouds, [name])
      if (cloud !== undefined && !isMap(cloud)) throw new Error(`its ${name} has no fields`)
      return { file, mode: stat.mode, cloud: cloud ?? null, names: isMap(clouds) ? Object.keys(clouds) : [] }
    } catch (cause) {
      throw new Error(`${file} is not usable: ${messageOf(cause)}`, { cause })
    } finally {
      closeSync(found)
    }
  }
  return null
}

/** @returns null where there is no file @throws Error */
function openedOr(file: string): number | null {
  try {
    // A pipe without a writer must not hold us.
    return openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return null
    throw new Error(`${file} is not usable: ${messageOf(cause)}`, { cause })
  }
}
