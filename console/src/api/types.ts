// What the API answers: the parts of its objects that the console shows. openapi.yaml has all of them.

export interface Page<T> {
    pagination: { count: number; current: number; total_pages: number; start_index: number; end_index: number };
    results: T[];
}

export interface FlowHead {
    pk: string;
    name: string;
    slug: string;
    title: string;
    designation: string;
}

export interface Flow extends FlowHead {
    stages: string[];
    denied_action: string;
}

export interface PartialUser {
    pk: number;
    username: string;
    name: string;
}

export interface Invitation {
    pk: string;
    name: string;
    /** When it ends; `null` for never. */
    expires: string | null;
    fixed_data: Record<string, unknown>;
    created_by: PartialUser;
    single_use: boolean;
    flow: string | null;
    flow_obj: FlowHead | null;
    /** There with `?extended=true`. */
    max_uses?: number | null;
}

export interface InvitationStatus {
    usable: boolean;
    reason: "expired" | "other_flow" | "used_up" | "reserved" | null;
    uses: number;
    reserved: number;
    /** `null` for any number. */
    left: number | null;
}

export interface HistoryEntry {
    id: number;
    action: "created" | "changed" | "mailed" | "redeemed" | "expired" | "deleted";
    created: string;
    username: string | null;
    details: Record<string, unknown>;
}

export interface Message {
    pk: string;
    kind: string;
    address: string;
    subject: string;
    state: "queued" | "sending" | "sent" | "failed" | "dead";
    attempts: number;
    reply: string;
    created: string;
    next_attempt: string | null;
}

export interface BulkAnswer {
    created: number;
    refused: number;
    results: { pk: string | null; name: string | null; expires: string | null }[];
}

export interface Stage {
    pk: string;
    name: string;
    verbose_name: string;
    meta_model_name: string;
    flow_set: FlowHead[];
    [field: string]: unknown;
}

export interface Binding {
    pk: string;
    /** The flow. */
    target: string;
    stage: string;
    stage_obj: Stage;
    order: number;
}

export interface UsedBy {
    app: string;
    model_name: string;
    pk: string;
    name: string;
    action: "cascade" | "cascade_many" | "set_null" | "set_default" | "left_dangling";
}

export interface TestOutcome {
    successful: boolean;
    steps: { step: string; successful: boolean; reply: string; milliseconds: number }[];
}

export interface Template {
    name: string;
    description: string;
}

export interface User extends PartialUser {
    email: string;
    type: string;
    is_active: boolean;
    is_superuser: boolean;
    last_login: string | null;
}

export interface Group {
    pk: string;
    name: string;
    is_superuser: boolean;
    users: number[];
    parents_obj: { name: string }[] | null;
}

export interface Token {
    pk: string;
    identifier: string;
    intent: string;
    description: string;
    expires: string | null;
    expiring: boolean;
    user_obj: PartialUser;
}

export interface Me {
    user: PartialUser & { is_superuser: boolean };
}
