"""From a user's robot files to a `Robot`: one file a question, such as which joints move, or where the feet are."""
