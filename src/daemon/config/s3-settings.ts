/**
 * Settings of an origin in S3, beside those that every origin and those over HTTP have.
 */
import { z } from 'zod'
import type { Logger } from '../../base/logger.ts'
import type { OriginOptions } from '../../origin/open-origin.ts'
import { addressings } from '../../origin/s3/s3-address.ts'
import { isRegion } from '../../origin/s3/s3-error.ts'
import { booleanField, optionalChoiceField, secretField, setting, shown } from './setting-fields.ts'

/** One line without spaces. */
function word(what: string) {
  return z
    .string({ error: ({ input }) => `${shown(input)} is not ${what}` })
    .regex(/^[\x21-\x7e]+$/, { error: ({ input }) => `${shown(input)} is not ${what}` })
    .optional()
}

export const s3Fields = {
  endpoint: setting(word('an endpoint: write https://HOST:PORT'), {
    kind: 'text',
    range: 'https://HOST:PORT, http://HOST:PORT',
    live: false,
    what: 's3: the server of the bucket, as `?endpoint=` in the URL; part of the identity of cached images',
    unset: "as AWS's tools find it, else AWS",
  }),
  region: setting(
    z
      .string({ error: ({ input }) => `${shown(input)} is not a region` })
      .refine(isRegion, { error: ({ input }) => `${shown(input)} is not a region: write it like eu-central-1` })
      .optional(),
    {
      kind: 'text',
      range: 'a name',
      live: true,
      what: 's3: region of the bucket; where it is wrong, the server may say the right one; swift: region in the catalog of services, part of the identity of cached images',
      unset: "as AWS's and OpenStack's tools find it",
    },
  ),
  addressing: optionalChoiceField('addressing', addressings, {
    live: true,
    what: 's3: place of the name of the bucket: in the path, or before the host; auto: before it at AWS, in the path elsewhere',
    unset: 'auto',
  }),
  profile: setting(word('the name of a profile'), {
    kind: 'text',
    range: 'a name',
    live: true,
    what: "s3: profile in AWS's shared files, whose keys alone are used",
    unset: '`AWS_PROFILE`, else `default`',
  }),
  accessKeyId: setting(word('an access key id'), {
    kind: 'text',
    range: 'a text',
    live: true,
    what: 's3: id of the key that signs requests; goes with secretAccessKey',
    unset: "as AWS's tools find it",
  }),
  secretAccessKey: secretField({ live: true, what: 's3: the secret of accessKeyId', unset: 'none' }),
  sessionToken: secretField({
    live: true,
    what: 's3: token of the session that accessKeyId belongs to',
    unset: 'none',
  }),
  anonymous: booleanField({ live: true, what: 's3: requests are not signed, for public buckets', unset: 'false' }),
  requesterPays: booleanField({
    live: true,
    what: 's3: the account that signs pays for requests and transfer, as requester-pays buckets want it',
    unset: 'false',
  }),
}

type S3Settings = { readonly [name in keyof typeof s3Fields]?: z.output<(typeof s3Fields)[name]> }

/** The complaint about settings that do not go together; null: none. */
export function s3Complaint(settings: S3Settings): { readonly at: string; readonly message: string } | null {
  const { accessKeyId, secretAccessKey, sessionToken, anonymous, profile } = settings
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    return { at: 'accessKeyId', message: 'accessKeyId and secretAccessKey go together: give both' }
  }
  if (sessionToken !== undefined && accessKeyId === undefined) {
    return { at: 'sessionToken', message: 'sessionToken goes with accessKeyId and secretAccessKey: give all three' }
  }
  const said = Number(accessKeyId !== undefined) + Number(profile !== undefined) + Number(anonymous === true)
  return said > 1
    ? { at: 'accessKeyId', message: 'accessKeyId, profile and anonymous exclude each other: give one' }
    : null
}

/** The same, as src/origin/open-origin.ts wants it. */
export function s3OptionsOf(settings: S3Settings, logger: Logger): OriginOptions['s3'] {
  const { region, addressing, profile, accessKeyId, secretAccessKey, sessionToken, anonymous, requesterPays } = settings
  return {
    region: region ?? null,
    addressing: addressing ?? 'auto',
    profile: profile ?? null,
    keys: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey, sessionToken } : null,
    anonymous: anonymous ?? false,
    requesterPays: requesterPays ?? false,
    logger,
  }
}
