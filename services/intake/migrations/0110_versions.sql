-- migrate:up
call versioned('submission', 'submissions', 'versioned', 'id');
