# terraform test: the configuration applied to a server, looked at from outside, changed, and taken away again.

variables {
  name = "tested"
}

run "apply" {
  assert {
    condition     = authentik_stage_user_write.write.create_users_group == output.group
    error_message = "Guests don't come into their group."
  }
}

run "lookup" {
  module {
    source = "./tests/lookup"
  }

  assert {
    condition     = output.flow == run.apply.flow
    error_message = "The slug finds another flow."
  }
  assert {
    condition     = output.last_stage == run.apply.stages[20]
    error_message = "The flow doesn't end with the confirmation."
  }
  assert {
    condition     = output.hosts == tolist(["akadmin"])
    error_message = "Somebody else invites."
  }
  assert {
    condition     = output.groups == tolist(["tested", "tested-hosts"])
    error_message = "The groups are others."
  }
}

run "change" {
  variables {
    title = "Come in"
  }

  assert {
    condition     = authentik_flow.enrollment.title == "Come in"
    error_message = "The flow keeps its old title."
  }
  assert {
    condition     = output.flow == run.apply.flow
    error_message = "A new title makes another flow."
  }
}
