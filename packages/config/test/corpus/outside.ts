import { env, type Case } from './case.ts'

/** What the environment and the command line get wrong. */
export const OUTSIDE: readonly Case[] = [
  {
    name: 'a variable of a setting that does not exist',
    options: env({ VARVE_STORAGE__HOT__BATCHSIZE: '5' }),
    expected: ['CONFIG_UNKNOWN_KEY', 'environment', 1],
    says: 'VARVE_STORAGE__HOT__BATCHSIZE sets nothing that exists; did you mean VARVE_STORAGE__HOT__BATCH_SIZE?',
  },
  {
    name: 'a variable of a section that does not exist',
    options: env({ VARVE_STORGE__NAME: 'x' }),
    expected: ['CONFIG_UNKNOWN_KEY', 'environment', 1],
    says: 'did you mean VARVE_STORAGE__NAME?',
  },
  {
    name: 'a variable out of range',
    options: env({ VARVE_STORAGE__HOT__BATCH_SIZE: '5' }),
    expected: ['CONFIG_INVALID_VALUE', 'environment', 1],
    says: 'VARVE_STORAGE__HOT__BATCH_SIZE: hot.batchSize: expected whole number, 100 to 10000; found 5',
  },
  {
    name: 'a blank variable of a setting',
    options: env({ VARVE_STORAGE__HOT__BATCH_SIZE: ' ' }),
    expected: ['CONFIG_VARIABLE_BLANK', 'environment', 1],
    says: 'VARVE_STORAGE__HOT__BATCH_SIZE is set but blank; give it a value, or unset it',
  },
  {
    name: 'a blank variable of a secret',
    options: env({ VARVE_ACCESS__TOKEN: '' }),
    expected: ['CONFIG_SECRET_BLANK', 'environment', 1],
    says: 'VARVE_ACCESS__TOKEN is set but blank',
  },
  {
    name: 'a variable that names a place of JavaScript itself',
    options: env({ VARVE_STORAGE__LIMITS__CONSTRUCTOR: '1' }),
    expected: ['CONFIG_UNKNOWN_KEY', 'environment', 1],
    says: 'sets nothing that exists',
  },
  {
    name: 'a setting on the command line that does not exist',
    options: { overrides: { 'storage.hot.batchsize': '5' } },
    expected: ['CONFIG_UNKNOWN_KEY', '--set', 1],
    says: 'did you mean "storage.hot.batchSize"?',
  },
  {
    name: 'a setting on the command line out of range',
    options: { overrides: { 'storage.hot.batchSize': '5' } },
    expected: ['CONFIG_INVALID_VALUE', '--set', 1],
    says: 'hot.batchSize: expected whole number, 100 to 10000; found 5',
  },
  {
    name: 'a secret on the command line',
    options: { overrides: { 'access.token': 'hunter2hunter2' } },
    expected: ['CONFIG_VARIABLE_FORBIDDEN', '--set', 1],
    says: 'a command line is seen by every user of the machine',
  },
  {
    name: 'a group of secrets on the command line',
    options: { overrides: { 'access.keys': '{ polygon: hunter2hunter2 }' } },
    expected: ['CONFIG_VARIABLE_FORBIDDEN', '--set', 1],
    says: 'use an environment variable or a file',
  },
  {
    name: 'a name of JavaScript itself on the command line',
    options: { overrides: { 'storage.limits.__proto__': '1' } },
    expected: ['CONFIG_UNKNOWN_KEY', '--set', 1],
    says: 'there is no setting',
  },
  {
    name: 'a map on the command line that would pollute',
    options: { overrides: { 'storage.limits': '{ __proto__: { polluted: 1 } }' } },
    expected: ['CONFIG_INVALID_VALUE', '--set', 1],
    says: 'limits: expected map',
  },
  {
    name: 'a map in a variable with a name of JavaScript itself',
    options: env({ VARVE_STORAGE__LIMITS: '{ constructor: 1 }' }),
    expected: ['CONFIG_INVALID_VALUE', 'environment', 1],
    says: 'VARVE_STORAGE__LIMITS: limits: expected map',
  },
]
