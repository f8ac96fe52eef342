export type { Company, CompanyStore, CompanyUpdate, Listing } from './Company.ts'
