"""The routes, a file for each thing that is asked: `routes(serving) -> APIRouter`. What is sent and answered is in `messages`."""
